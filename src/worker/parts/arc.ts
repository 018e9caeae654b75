export { ArcPolicy as arc } from "../../offload/arc-policy";
