"""The running kernel and the files a person names, read and never written."""
