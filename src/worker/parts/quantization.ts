export { quantization } from "../../models/quantization";
