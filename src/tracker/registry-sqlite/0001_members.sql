CREATE TABLE `invitations` (
	`id` text PRIMARY KEY NOT NULL,
	`secret_hash` blob NOT NULL,
	`role` text NOT NULL,
	`label` text NOT NULL,
	`needs_approval` integer NOT NULL,
	`uses` integer NOT NULL,
	`used` integer NOT NULL,
	`created` integer NOT NULL,
	`expires` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `invitations_secret_hash_unique` ON `invitations` (`secret_hash`);--> statement-breakpoint
CREATE TABLE `members` (
	`peer_id` text PRIMARY KEY NOT NULL,
	`key` blob NOT NULL,
	`name` text NOT NULL,
	`role` text NOT NULL,
	`state` text NOT NULL,
	`invitation` text,
	`joined` integer NOT NULL,
	`expires` integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE `peers` ADD `member` text;--> statement-breakpoint
CREATE INDEX `peers_member` ON `peers` (`member`);