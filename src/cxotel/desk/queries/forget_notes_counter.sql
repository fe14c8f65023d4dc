UPDATE counter SET note = '' WHERE note <> ''
