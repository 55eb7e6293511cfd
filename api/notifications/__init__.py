"""Notifications: digests of backfills and holds, sent to a webhook."""
