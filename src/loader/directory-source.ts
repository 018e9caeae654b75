import { CairnError } from "../util/errors";
import { type FileSource, type OpenedFile, type OpenOptions, openBlob } from "./file-source";
import { throwIfAborted, toReadError } from "./read-errors";

/** Model files in a folder that a person opened to the page. */
export class DirectorySource implements FileSource {
  readonly modelId: string;
  readonly #directory: FileSystemDirectoryHandle;

  constructor(directory: FileSystemDirectoryHandle) {
    this.#directory = directory;
    this.modelId = directory.name || "local-model";
  }

  async open(file: string, { range, signal }: OpenOptions): Promise<OpenedFile> {
    throwIfAborted(signal);
    try {
      const handle = await this.#directory.getFileHandle(file);
      return openBlob(await handle.getFile(), range);
    } catch (thrown) {
      if ((thrown as Error).name !== "NotFoundError") throw toReadError(thrown, file, signal);
      throw new CairnError("model_file_missing", `"${file}" is not in the chosen folder.`, { file });
    }
  }
}
