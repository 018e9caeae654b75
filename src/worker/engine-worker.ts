import { expose } from "comlink";
import { loadEngine } from "../engine/load-engine";
import { planMemory } from "../engine/plan-memory";
import { installErrorTransfer } from "../protocol/comlink-errors";
import { EngineService } from "./engine-service";

installErrorTransfer();
// The types promise `gpu`; browsers without WebGPU do not.
expose(new EngineService({ gpu: navigator.gpu ?? null, load: loadEngine, plan: planMemory }));
