-- Chat: whether a stored message is known to be among its room's events, so that a worker that finds it again
-- (a redelivered submission, a client's resend) knows whether to publish it.
ALTER TABLE messages ADD COLUMN posted boolean NOT NULL DEFAULT false;
