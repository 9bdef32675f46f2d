"""What happens to words, voices and faces outside the laboratory, each as a function of severity."""
