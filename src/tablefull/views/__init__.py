"""What people and machines see: values in, presentation out."""
