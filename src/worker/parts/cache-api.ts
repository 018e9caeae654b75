export { openCacheApi as cacheApi } from "../../loader/cache/cache-api-store";
