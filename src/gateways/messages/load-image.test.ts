import { mkdtempSync, rmSync } from "node:fs"
import { truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { image, user } from "./constructors.js"
import { IMAGE_BYTES_MAX, loadImage, loadImages } from "./load-image.js"

const folder = mkdtempSync(join(tmpdir(), "murmur-images-"))
afterAll(() => rmSync(folder, { recursive: true }))

async function file(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, bytes)
  return path
}

const latin = (text: string): Buffer => Buffer.from(text, "latin1")

test.each([
  ["\x89PNG\r\n\x1a\nrest", "image/png"],
  ["\xff\xd8\xff\xe0rest", "image/jpeg"],
  ["GIF89arest", "image/gif"],
  ["RIFF\n\0\0\0WEBPrest", "image/webp"],
  ["\0\0\0\x1cftypavifrest", "image/avif"],
  ["\0\0\0\x1cftypheicrest", "image/heic"],
  ["BM\n\n\n\n\0\0\0\0rest", "image/bmp"],
])("tells what an image is by its first bytes, not by its name: %j", async (text, mediaType) => {
  const path = await file("picture.txt", latin(text))
  expect(await loadImage({ path })).toEqual({ mediaType, data: latin(text).toString("base64") })
})

test("takes an image out of an address that holds it, and leaves other addresses alone", async () => {
  const data = latin("GIF89arest").toString("base64")
  expect(await loadImage({ url: `data:image/png;base64,${data}` })).toEqual({ mediaType: "image/gif", data })
  expect(await loadImage({ url: "https://example.com/a.gif" })).toEqual({ url: "https://example.com/a.gif" })
  for (const url of ["data:text/plain,root", "data:image/png;base64,", `data:;base64,${btoa("root:x:0:0")}`]) {
    await expect(loadImage({ url })).rejects.toMatchObject({ code: "LLM_IMAGE" })
  }
})

test("sends nothing that is no image", async () => {
  const path = await file("secrets.png", latin("root:x:0:0"))
  await expect(loadImage({ path })).rejects.toMatchObject({ code: "LLM_IMAGE", message: expect.stringContaining(path) })
})

test("says so when there is no such file, or none with an end", async () => {
  await expect(loadImage({ path: join(folder, "none.png") })).rejects.toMatchObject({
    code: "LLM_IMAGE",
    message: expect.stringContaining("ENOENT"),
  })
  await expect(loadImage({ path: "/dev/zero" })).rejects.toMatchObject({ code: "LLM_IMAGE" })
  await expect(loadImage({ path: folder })).rejects.toMatchObject({ code: "LLM_IMAGE" })
})

test("reads no file that is larger than a provider takes", async () => {
  const path = await file("large.png", latin("\x89PNG\r\n\x1a\n"))
  await truncate(path, IMAGE_BYTES_MAX + 1)
  await expect(loadImage({ path })).rejects.toThrow(String(IMAGE_BYTES_MAX + 1))
  await truncate(path, IMAGE_BYTES_MAX)
  expect(await loadImage({ path })).toMatchObject({ mediaType: "image/png" })
})

test("leaves addresses and bytes as they are", async () => {
  const url = { url: "https://example.com/a.png" }
  const data = { data: "AAAA", mediaType: "image/png" }
  expect(await loadImage(url)).toEqual(url)
  expect(await loadImage(data)).toEqual(data)
})

test("waits for nothing where a conversation has no images", async () => {
  expect(loadImages([user("Hello")])).toBeInstanceOf(Map)
  const path = await file("point.png", latin("\x89PNG\r\n\x1a\n"))
  const message = user("What is this?", image({ path }), image({ url: "https://example.com/a.png" }))
  expect([...(await loadImages([message])).values()]).toMatchObject([
    { mediaType: "image/png" },
    { url: expect.any(String) },
  ])
})
