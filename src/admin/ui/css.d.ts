/** Style sheets are imported for the bundler to put together. */
declare module "*.css";
