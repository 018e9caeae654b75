// The worker that the package starts by itself: it gets its lazy parts from the page, and hands them what is here already.
import { importPart } from "./load-part";
import { serveEngine } from "./serve-engine";
import { SHARED } from "./shared";

serveEngine((source) => importPart(source, SHARED));
