UPDATE destination SET note = '' WHERE note <> ''
