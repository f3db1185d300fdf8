CREATE TABLE `heard_revocations` (
	`tracker` text PRIMARY KEY NOT NULL,
	`peer_ids` blob NOT NULL,
	`until` integer NOT NULL
);
