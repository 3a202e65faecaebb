"""What a trained model's attention and intensity weights look like, as numbers."""
