CREATE TABLE `contents` (
	`content_id` text PRIMARY KEY NOT NULL,
	`manifest` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `fetched` (
	`path` text PRIMARY KEY NOT NULL,
	`content_id` text NOT NULL,
	`size` integer NOT NULL,
	`mtime_ns` text NOT NULL,
	FOREIGN KEY (`content_id`) REFERENCES `contents`(`content_id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `shares` (
	`fname` text PRIMARY KEY NOT NULL,
	`fold` text NOT NULL,
	`content_id` text NOT NULL,
	`path` text NOT NULL,
	`lname` text NOT NULL,
	`size` integer NOT NULL,
	`mtime_ns` text NOT NULL,
	FOREIGN KEY (`content_id`) REFERENCES `contents`(`content_id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `shares_fold_unique` ON `shares` (`fold`);--> statement-breakpoint
CREATE UNIQUE INDEX `shares_path_unique` ON `shares` (`path`);--> statement-breakpoint
CREATE TABLE `unfinished` (
	`destination` text PRIMARY KEY NOT NULL,
	`content_id` text NOT NULL,
	`fname` text NOT NULL
);
