"""The addresses of the studio, a file for each subject. The gate stands before all of them."""
