"""Page of the cameras: routes, live images, history of visits, metrics."""
