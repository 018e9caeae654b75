import { droppedFiles } from "./folder";

export interface FolderDropHandlers {
  /** Files are held over the page, or no longer are. */
  readonly onDragging: (isDragging: boolean) => void;
  readonly onDrop: (name: string, files: File[]) => void;
}

/** Takes files and folders that are dropped anywhere on the page. Returns the way to stop. */
export function watchFolderDrops({ onDragging, onDrop }: FolderDropHandlers): () => void {
  const listening = new AbortController();
  const { signal } = listening;
  const isFileDrag = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  const over = (event: DragEvent) => {
    if (!isFileDrag(event)) return;
    event.preventDefault();
    onDragging(true);
  };
  addEventListener("dragenter", over, { signal });
  addEventListener("dragover", over, { signal });
  // Moving between elements fires `dragleave` too; only leaving the window has nowhere to go.
  addEventListener("dragleave", (event) => event.relatedTarget === null && onDragging(false), { signal });
  addEventListener(
    "drop",
    async (event) => {
      if (!isFileDrag(event) || !event.dataTransfer) return;
      event.preventDefault();
      onDragging(false);
      const { name, files } = await droppedFiles(event.dataTransfer);
      onDrop(name, files);
    },
    { signal },
  );
  return () => listening.abort();
}
