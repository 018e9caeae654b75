/** The package's entry for Node is CommonJS under "type": "module", so Node cannot load it; this file of it works. */
declare module "wgsl_reflect/wgsl_reflect.module.js" {
  export * from "wgsl_reflect";
}
