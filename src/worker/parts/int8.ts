export { Int8Pages as int8 } from "../../runner/int8-pages";
