"""The page that shows what came out: pictures, tables and curves in one folder that needs no network."""
