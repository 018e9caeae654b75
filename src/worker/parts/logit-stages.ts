export { LogitStages as logitStages } from "../../runner/logit-stages";
