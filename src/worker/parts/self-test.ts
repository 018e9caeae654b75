export { judgeDevice as selfTest } from "../../runner/self-test/judge-device";
