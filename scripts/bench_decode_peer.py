#!/usr/bin/env python3
"""The peer of bench_decode.sh: what torchvision's transforms do with Pillow images, without torchvision.

  make FOLDER COUNT     write COUNT JPEG files of 500 x 375 (quality 90, 4:2:0)
  time FOLDER ROUNDS    a line a round: images a second of processor time, one thread: open, RGB, Resize(256), CenterCrop(224),
                        normalise, channels first
"""
import pathlib
import sys
import time

import numpy
from PIL import Image

MEAN, STD = numpy.float32([0.485, 0.456, 0.406]), numpy.float32([0.229, 0.224, 0.225])


def make(folder, count):
    """Smooth shapes, edges and noise: about 60 KB a file."""
    for number in range(count):
        random = numpy.random.default_rng(number)
        y, x = numpy.mgrid[0:375, 0:500] / 500
        image = numpy.zeros((375, 500, 3))
        for _ in range(12):
            centre, radius, colour = random.random(2), 0.05 + 0.3 * random.random(), random.random(3) * 160 - 60
            image += ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2)[..., None] * colour
            waves = numpy.sin(x * random.normal() * 60 + y * random.normal() * 60)
            image += waves[..., None] * random.random(3) * 14
        image += 110 + random.normal(size=image.shape) * 7
        Image.fromarray(image.clip(0, 255).astype(numpy.uint8)).save(folder / f"{number:04}.jpg", quality=90)


def sample(path):
    with Image.open(path) as file:
        image = file.convert("RGB")
    width, height = image.size
    size = (256, int(256 * height / width)) if width <= height else (int(256 * width / height), 256)
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    pixels = numpy.asarray(image.crop((left, top, left + 224, top + 224)))
    # One multiplication and one addition a value, the least that numpy needs.
    return numpy.ascontiguousarray((pixels * (1 / (255 * STD)) - MEAN / STD).transpose(2, 0, 1), numpy.float32)


def main():
    command, folder, count = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    if command == "make":
        make(folder, count)
        return
    paths = sorted(folder.iterdir())
    for _ in range(count):
        begin = time.process_time()
        for path in paths:
            sample(path)
        print(f"{len(paths) / (time.process_time() - begin):.1f}")


if __name__ == "__main__":
    main()
