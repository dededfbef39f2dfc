-- What the stream's owner allows of it, by the names of StreamLimits; what is left out is the site's.
ALTER TABLE streams ADD COLUMN limits jsonb NOT NULL DEFAULT '{}';
