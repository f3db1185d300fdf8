CREATE TABLE `contents` (
	`id` integer PRIMARY KEY NOT NULL,
	`content_id` text NOT NULL,
	`size` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `contents_content_id_size` ON `contents` (`content_id`,`size`);--> statement-breakpoint
CREATE TABLE `holdings` (
	`content` integer NOT NULL,
	`peer` integer NOT NULL,
	`session` integer NOT NULL,
	`chunks` blob,
	PRIMARY KEY(`content`, `peer`),
	FOREIGN KEY (`content`) REFERENCES `contents`(`id`) ON UPDATE no action ON DELETE no action,
	FOREIGN KEY (`peer`) REFERENCES `peers`(`id`) ON UPDATE no action ON DELETE cascade
);
--> statement-breakpoint
CREATE INDEX `holdings_peer` ON `holdings` (`peer`);--> statement-breakpoint
CREATE TABLE `peers` (
	`id` integer PRIMARY KEY NOT NULL,
	`peer_id` text NOT NULL,
	`ip` text NOT NULL,
	`port` integer NOT NULL,
	`host_name` text NOT NULL,
	`online` integer NOT NULL,
	`session` integer NOT NULL,
	`since` integer NOT NULL,
	`last_seen` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `peers_peer_id_unique` ON `peers` (`peer_id`);--> statement-breakpoint
CREATE UNIQUE INDEX `peers_online_address` ON `peers` (`ip`,`port`) WHERE online = 1;--> statement-breakpoint
CREATE INDEX `peers_address` ON `peers` (`ip`,`port`);--> statement-breakpoint
CREATE TABLE `publications` (
	`id` integer PRIMARY KEY NOT NULL,
	`peer` integer NOT NULL,
	`fname` text NOT NULL,
	`fold` text NOT NULL,
	`content` integer NOT NULL,
	`path` text NOT NULL,
	`session` integer NOT NULL,
	FOREIGN KEY (`peer`) REFERENCES `peers`(`id`) ON UPDATE no action ON DELETE cascade,
	FOREIGN KEY (`content`) REFERENCES `contents`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `publications_peer_fold` ON `publications` (`peer`,`fold`);--> statement-breakpoint
CREATE INDEX `publications_fold` ON `publications` (`fold`);--> statement-breakpoint
CREATE INDEX `publications_content` ON `publications` (`content`);