SELECT name, value, last, note FROM counter ORDER BY name
