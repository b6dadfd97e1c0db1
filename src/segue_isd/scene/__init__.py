"""What a generated scene holds: rooms, furniture, people, lights and the camera."""
