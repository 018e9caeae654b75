export { downloader as download } from "../../loader/cache/downloader";
