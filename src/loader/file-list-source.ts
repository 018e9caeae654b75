import { CairnError } from "../util/errors";
import { type FileSource, type OpenedFile, type OpenOptions, openBlob } from "./file-source";
import { throwIfAborted } from "./read-errors";

/** Model files that a person picked. Names are matched without their folders; of equal names the shallowest counts. */
export class FileListSource implements FileSource {
  readonly modelId: string;
  readonly #files: ReadonlyMap<string, File>;

  constructor(files: readonly File[]) {
    this.#files = shallowestByName(files);
    const folder = files.map(pathOf).find((path) => path.length > 1)?.[0];
    this.modelId = folder ?? "local-model";
  }

  async open(file: string, { range, signal }: OpenOptions): Promise<OpenedFile> {
    throwIfAborted(signal);
    const found = this.#files.get(file);
    if (!found) throw new CairnError("model_file_missing", `"${file}" is not among the chosen files.`, { file });
    return openBlob(found, range);
  }
}

/** Path segments; folder pickers give them in `webkitRelativePath`, drops and file pickers give the name alone. */
function pathOf(file: File): string[] {
  return (file.webkitRelativePath || file.name).split("/");
}

function shallowestByName(files: readonly File[]): Map<string, File> {
  const byName = new Map<string, File>();
  for (const file of files) {
    const path = pathOf(file);
    const name = path[path.length - 1];
    const known = byName.get(name);
    if (!known || path.length < pathOf(known).length) byName.set(name, file);
  }
  return byName;
}
