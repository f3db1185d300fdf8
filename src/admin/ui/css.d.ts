/** Allows imports of style sheets, which the bundler joins. */
declare module "*.css";
