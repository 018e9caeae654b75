/** Every file under what was dropped, hidden folders left out. Reads the entries at once: a drop's items are gone after the event. */
export async function droppedFiles(transfer: DataTransfer): Promise<{ readonly name: string; readonly files: File[] }> {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const files = (await Promise.all(entries.map(filesOf))).flat();
  return { name: entries.length === 1 ? entries[0].name : "dropped files", files };
}

/** The name of the folder that a directory input chose. */
export function folderName(files: readonly File[]): string {
  const [folder] = files[0]?.webkitRelativePath.split("/") ?? [];
  return folder || "folder";
}

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.name.startsWith(".")) return [];
  if (isFile(entry)) return [await new Promise<File>((resolve, reject) => entry.file(resolve, reject))];
  if (!isDirectory(entry)) return [];
  const children = await childrenOf(entry.createReader());
  return (await Promise.all(children.map(filesOf))).flat();
}

/** `readEntries` gives a part at a time (100 in Chromium); an empty part is the end. */
async function childrenOf(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  const children: FileSystemEntry[] = [];
  while (true) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return children;
    children.push(...part);
  }
}

function isFile(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function isDirectory(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}
