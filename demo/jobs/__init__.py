"""The platform's fourteen jobs, each with the command line its real counterpart has."""
