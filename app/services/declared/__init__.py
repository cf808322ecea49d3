"""The configuration as a file: told, compared with what is there, and brought about, all of it or nothing."""
