"""What leaves the process: tables, pictures, files, streams of masks."""
