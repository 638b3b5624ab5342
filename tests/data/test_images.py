"""Image folders through the whole program: `evaluate --save-outputs` of models that return their input, against Pillow."""
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest
import zlib

import numpy
import onnx
from onnx import TensorProto, helper
from PIL import Image, ImageOps

PARE = os.environ["PARE"]
RANDOM = numpy.random.default_rng(5)


def pare(*arguments, code=0):
    done = subprocess.run([PARE, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, expected {code}: pare {arguments}\n{done.stdout}{done.stderr}")
    return done


def identity(path, shape, dtype=TensorProto.FLOAT):
    """A model that returns its input, for which pare knows no shortcut."""
    value = [helper.make_tensor_value_info(name, dtype, shape) for name in ("x", "y")]
    onnx.save(helper.make_model(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:]),
                                opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def picture(width, height, channels=3, seed=1):
    """Gradients, edges and a little noise: what resizing and JPEG have to do with."""
    random = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width] / max(width, height)
    planes = [127 + 100 * numpy.sin(9 * x * (i + 1) + 5 * y) * numpy.cos(7 * y + i) + 40 * ((x * 5 + y * 3).astype(int) % 2) for i in range(channels)]
    pixels = numpy.stack(planes, -1) + random.normal(size=(height, width, channels)) * 4
    pixels = pixels.clip(0, 255).astype(numpy.uint8)
    return Image.fromarray(pixels if channels > 1 else pixels[..., 0])


def torchvision(image, side, crop):
    """Resize(side), CenterCrop(crop) as torchvision computes the sizes, with Pillow's filter."""
    width, height = image.size
    width, height = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    return numpy.asarray(image.crop((left, top, left + crop, top + crop))).astype(int)


def interlaced_png(pixels):
    """The seven passes of Adam7 (PNG specification, section 8.2), which Pillow reads but does not write."""
    height, width, channels = pixels.shape
    raw = b""
    for top, left, down, right in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]:
        for row in pixels[top::down, left::right]:
            if row.size:
                raw += b"\0" + row.tobytes()

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


class Images(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)
        self.data = self.folder / "data"
        self.data.mkdir()

    def tearDown(self):
        self.temporary.cleanup()

    def outputs(self, model, *options, data=None):
        saved = self.folder / "outputs.npz"
        done = pare("evaluate", model, "--data", data or self.data, "--runtime", "pare", "--save-outputs", saved, "--force", "--report", "-", *options)
        with numpy.load(saved) as arrays:
            return arrays["y"], json.loads(done.stdout)

    def grey_steps(self, model, *options):
        """The inputs as whole numbers 0 to 255, channels first."""
        values, _ = self.outputs(model, "--scale", 1, *options)
        numpy.testing.assert_array_equal(values, values.round())
        return values.astype(int)

    def assert_close(self, got, expected, most, mean=1.0):
        difference = numpy.abs(got.astype(int) - expected)
        self.assertLessEqual(difference.max(), most)
        self.assertLess(difference.mean(), mean)

    def test_resize_and_crop_are_pillows_within_a_step(self):
        model = identity(self.folder / "m.onnx", ["N", 3, 24, 24])
        for number, (width, height, side) in enumerate([(50, 37, 32), (37, 50, 32), (33, 33, 24), (13, 11, 32), (24, 24, 24), (200, 31, 29), (31, 97, 31)]):
            with self.subTest(width=width, height=height, side=side):
                image = picture(width, height, seed=number)
                image.save(self.data / "a.png")
                got = self.grey_steps(model, "--resize", side)[0].transpose(1, 2, 0)
                self.assert_close(got, torchvision(image, side, 24), 1, 0.3)

    def test_default_size_covers_what_the_model_takes(self):
        image = picture(64, 40)
        image.save(self.data / "a.png")
        got = self.grey_steps(identity(self.folder / "square.onnx", ["N", 3, 20, 20]))[0].transpose(1, 2, 0)
        self.assert_close(got, torchvision(image, 20, 20), 1, 0.3)
        wide = self.grey_steps(identity(self.folder / "wide.onnx", [1, 3, 10, 40]))[0].transpose(1, 2, 0)
        whole = numpy.asarray(image.resize((40, 25), Image.Resampling.BILINEAR)).astype(int)
        self.assert_close(wide, whole[round(7.5) : round(7.5) + 10], 1, 0.3)

    def test_exact_size_and_crop_alone(self):
        image = picture(60, 41)
        image.save(self.data / "a.png")
        model = identity(self.folder / "open.onnx", ["N", 3, "H", "W"])
        got = self.grey_steps(model, "--resize", "20x30")[0].transpose(1, 2, 0)
        self.assert_close(got, numpy.asarray(image.resize((30, 20), Image.Resampling.BILINEAR)).astype(int), 1, 0.3)
        got = self.grey_steps(model, "--crop", "21x30")[0].transpose(1, 2, 0)
        numpy.testing.assert_array_equal(got, numpy.asarray(image)[10:31, 15:45])
        got = self.grey_steps(model, "--shape", "x=1x3x16x16")[0].transpose(1, 2, 0)
        self.assert_close(got, torchvision(image, 16, 16), 1, 0.3)

    def test_normalisation_is_numpys(self):
        image = picture(20, 20)
        image.save(self.data / "a.png")
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        got, _ = self.outputs(identity(self.folder / "m.onnx", ["N", 3, 20, 20]), "--mean", ",".join(map(str, mean)), "--std", ",".join(map(str, std)))
        expected = ((numpy.asarray(image) / 255.0 - mean) / std).transpose(2, 0, 1).astype(numpy.float32)
        numpy.testing.assert_allclose(got[0], expected, rtol=2e-7, atol=1e-7)

    def test_kinds_of_png(self):
        colour, grey = picture(30, 20), picture(30, 20, 1)
        deep = (numpy.asarray(grey).astype(numpy.uint16) << 8) + RANDOM.integers(0, 256, (20, 30)).astype(numpy.uint16)
        with_alpha = colour.copy()
        with_alpha.putalpha(grey)
        grey_alpha = grey.copy()
        grey_alpha.putalpha(Image.new("L", grey.size, 7))
        kinds = {"rgb": colour, "l": grey, "rgba": with_alpha, "la": grey_alpha, "palette": colour.quantize(40), "few": colour.quantize(3), "bits": grey.convert("1")}
        for name, image in kinds.items():
            image.save(self.data / f"{name}.png")
        Image.fromarray(deep).save(self.data / "z16.png")
        (self.data / "zz.png").write_bytes(interlaced_png(numpy.asarray(colour)))
        kinds["z16"], kinds["zz"] = grey, colour
        for channels, mode in ((3, "RGB"), (1, "L")):
            got = self.grey_steps(identity(self.folder / "m.onnx", ["N", channels, 20, 30]), "--layout", "nchw")
            for name, plane in zip(sorted(kinds), got, strict=True):
                with self.subTest(name=name, mode=mode):
                    expected = numpy.asarray(kinds[name].convert("RGB" if kinds[name].mode != "L" else "L").convert(mode)).reshape(20, 30, channels)
                    numpy.testing.assert_array_equal(plane, expected.transpose(2, 0, 1))

    def test_jpeg_in_full_size_is_pillows(self):
        colour, grey = picture(48, 32), picture(48, 32, 1)
        inks = picture(48, 32, 4)
        inks = Image.merge("CMYK", inks.split())
        for name, image, options in [("a", colour, {"subsampling": 0}), ("b", colour, {"subsampling": 2, "progressive": True}), ("c", grey, {}), ("d", inks, {})]:
            image.save(self.data / f"{name}.jpg", quality=90, **options)
        for channels, mode in ((3, "RGB"), (1, "L")):
            got = self.grey_steps(identity(self.folder / "m.onnx", ["N", channels, 32, 48]))
            for name, plane in zip("abcd", got, strict=True):
                with self.subTest(name=name, mode=mode):
                    with Image.open(self.data / f"{name}.jpg") as image:
                        expected = numpy.asarray(image.convert("RGB").convert(mode)).reshape(32, 48, channels).transpose(2, 0, 1).astype(int)
                    self.assert_close(plane, expected, 2, 0.2)

    def test_jpeg_decoded_smaller_is_close_to_pillows(self):
        for width, height, side, crop in [(500, 375, 256, 224), (375, 500, 232, 224), (801, 603, 64, 64), (257, 255, 30, 28)]:
            with self.subTest(width=width, height=height, side=side):
                picture(width, height).save(self.data / "a.jpg", quality=92)
                got = self.grey_steps(identity(self.folder / "m.onnx", ["N", 3, crop, crop]), "--resize", side)[0].transpose(1, 2, 0)
                with Image.open(self.data / "a.jpg") as image:
                    self.assert_close(got, torchvision(image, side, crop), 40, 1.5)

    def test_exif_orientation(self):
        image = picture(40, 24)
        for shape, orientations in (((24, 40), range(1, 5)), ((40, 24), range(5, 9))):
            for order in ("<", ">"):
                expected = []
                for orientation in orientations:
                    exif = Image.Exif()
                    exif.endian, exif[0x0112] = order, orientation
                    path = self.data / f"{orientation - orientations[0]}.jpg"
                    image.save(path, "JPEG", quality=95, subsampling=0, exif=exif)
                    with Image.open(path) as stored:
                        expected.append(numpy.asarray(ImageOps.exif_transpose(stored)).astype(int))
                got = self.grey_steps(identity(self.folder / "m.onnx", ["N", 3, *shape]))
                for orientation, turned, wanted in zip(orientations, got, expected, strict=True):
                    with self.subTest(orientation=orientation, order=order):
                        self.assert_close(turned.transpose(1, 2, 0), wanted, 2, 0.2)

    def class_folders(self, root, count=3):
        """Pictures that are black (class ant), grey (bee) and white (cat)."""
        for name, level in (("cat", 250), ("ant", 5), ("bee", 128)):
            (root / name / "inner").mkdir(parents=True)
            for i in range(count):
                target = root / name / ("inner" if i == 0 else ".") / f"{i}.png"
                Image.new("L", (10 + i, 12), level).save(target)
        (root / ".hidden").mkdir()
        Image.new("L", (8, 8)).save(root / ".hidden" / "a.png")

    def brightness_model(self, path):
        """Logits of [N,1,8,8] by mean: 0 below a third, 2 above two thirds."""
        nodes = [helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0), helper.make_node("Sub", ["m", "centres"], ["d"]),
                 helper.make_node("Abs", ["d"], ["a"]), helper.make_node("Neg", ["a"], ["y"])]
        centres = onnx.numpy_helper.from_array(numpy.float32([0, 0.5, 1]), "centres")
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])], [centres])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return path

    def test_classes_are_the_sorted_folders(self):
        model = self.brightness_model(self.folder / "b.onnx")
        self.class_folders(self.data)
        logits, report = self.outputs(model)
        self.assertEqual(report["metrics"]["accuracy"], 1)
        numpy.testing.assert_array_equal(logits.argmax(1), [0, 0, 0, 1, 1, 1, 2, 2, 2])
        root = self.folder / "parts"
        self.class_folders(root / "train", 2)
        self.class_folders(root / "val", 1)
        self.assertEqual(len(self.outputs(model, data=root)[0]), 3)
        self.assertEqual(len(self.outputs(model, "--split", "train", data=root)[0]), 6)
        (self.data / "dog").mkdir()
        Image.new("L", (8, 8)).save(self.data / "dog" / "a.png")
        self.assertIn("label is out of range (got 3", pare("evaluate", model, "--data", self.data, code=3).stderr)

    def test_other_files_are_left_out_with_one_warning(self):
        picture(9, 9).save(self.data / "image without ending", "PNG")
        picture(9, 9).save(self.data / "b.JPG", "JPEG")
        model = identity(self.folder / "m.onnx", ["N", 3, 9, 9])
        self.assertEqual(self.outputs(model)[1]["warnings"], [])
        (self.data / "notes.txt").write_text("hello")
        (self.data / "list.csv").write_text("a,b")
        values, report = self.outputs(model)
        self.assertEqual((len(values), report["warnings"]), (2, [f"{self.data}/list.csv and 1 other files are neither JPEG nor PNG: left out"]))
        for path in ("image without ending", "b.JPG"):
            (self.data / path).unlink()
        self.assertIn("no data found", pare("evaluate", model, "--data", self.data, code=3).stderr)
        self.class_folders(self.folder / "parts" / "train")
        (self.folder / "parts" / "val").mkdir()
        (self.folder / "parts" / "val" / "list.csv").write_text("a,b")
        self.assertIn("val/list.csv: neither a JPEG nor a PNG", pare("evaluate", model, "--data", self.folder / "parts", code=3).stderr)

    def test_damaged_files_are_named(self):
        model = identity(self.folder / "m.onnx", ["N", 3, 9, 9])
        picture(90, 60).save(self.data / "a.png")
        for ending, cut in (("png", 0.6), ("jpg", 0.6), ("jpg", 0.01)):
            with self.subTest(ending=ending, cut=cut):
                path = self.data / f"b.{ending}"
                picture(90, 60).save(path)
                whole = path.read_bytes()
                path.write_bytes(whole[: int(len(whole) * cut)])
                error = pare("evaluate", model, "--data", self.data, code=3).stderr
                self.assertIn(f"{path}: ", error)
                self.assertEqual(error.count("\n"), 1, error)
                path.unlink()
        (self.data / "b.jpg").write_text("no image at all")
        self.assertIn(f"{self.data}/b.jpg: neither a JPEG nor a PNG", pare("evaluate", model, "--data", self.data, code=3).stderr)
        damaged = bytearray((self.data / "a.png").read_bytes())
        damaged[len(damaged) // 2] ^= 0x55
        (self.data / "b.jpg").write_bytes(damaged)
        self.assertIn(f"{self.data}/b.jpg: a damaged or truncated PNG", pare("evaluate", model, "--data", self.data, code=3).stderr)

    def test_what_does_not_fit_is_named(self):
        picture(30, 20).save(self.data / "a.png")

        def error(shape, *options, code=3):
            return pare("evaluate", identity(self.folder / "m.onnx", shape), "--data", self.data, *options, code=code).stderr

        self.assertIn("in dimension 1 the model wants 4 channels, images have 1 or 3", error(["N", 4, 8, 8]))
        self.assertIn("the height of the samples does not fit the model (got 9, expected 8)", error(["N", 3, 8, 8], "--crop", "9x8", "--resize", 12))
        self.assertIn("got 2 dimensions, expected 4", error(["N", 64]))
        self.assertIn("give --resize, --crop or --shape", error(["N", 3, "H", "W"], code=2))
        self.assertIn(f"{self.data}/a.png: the image is smaller than the crop (got 20x30, expected at least 40x40)", error(["N", 3, "H", "W"], "--crop", "40x40"))
        self.assertIn("--crop: is larger than --resize (got 9x9, expected at most 8x9)", error(["N", 3, "H", "W"], "--resize", "8x9", "--crop", "9x9", code=2))
        self.assertIn("--resize 8: the images become smaller", error(["N", 3, 9, 9], "--resize", 8, code=2))
        for text in ("8x", "0", "x8", "8x8x8", "70000", "a"):
            self.assertIn("--resize: is no size", error(["N", 3, 8, 8], "--resize", text, code=2))
        self.assertIn("no input 'z'", error(["N", 3, "H", "W"], "--shape", "z=1x3x8x8", code=2))
        self.assertIn("the shape does not fit", error(["N", 3, "H", 8], "--shape", "x=1x3x8x9"))

    def test_channels_last(self):
        image = picture(30, 20)
        image.save(self.data / "a.png")
        for shape, options in ((["N", 20, 30, 3], ()), (["N", 20, 30, "C"], ("--layout", "nhwc"))):
            got = self.grey_steps(identity(self.folder / "m.onnx", shape), *options)
            numpy.testing.assert_array_equal(got[0], numpy.asarray(image))
        for shape, expected in (([1, 20, 30, 3], numpy.asarray(image)), ([1, 3, 20, 30], numpy.asarray(image).transpose(2, 0, 1))):
            got, _ = self.outputs(identity(self.folder / "m.onnx", shape, TensorProto.UINT8))
            numpy.testing.assert_array_equal(got[0], expected)

    def test_arrays_are_turned_to_the_models_layout(self):
        array = RANDOM.integers(0, 256, (4, 5, 6, 3)).astype(numpy.uint8)
        path = self.folder / "a.npy"
        numpy.save(path, array)
        planes = identity(self.folder / "planes.onnx", ["N", 3, 5, 6])
        self.assertIn("channels are at the other end: give --layout", pare("evaluate", planes, "--data", path, code=3).stderr)
        got, _ = self.outputs(planes, "--layout", "nchw", "--scale", 1, data=path)
        numpy.testing.assert_array_equal(got, array.transpose(0, 3, 1, 2))
        got, _ = self.outputs(identity(self.folder / "last.onnx", ["N", 5, 6, 3]), "--layout", "nhwc", "--scale", 1, "--mean", "1,2,3", data=path)
        numpy.testing.assert_array_equal(got, array.astype(numpy.float32) - [1, 2, 3])
        self.assertIn("--resize: only images in files are resized (got npy data)", pare("evaluate", planes, "--data", path, "--resize", 4, code=2).stderr)

    def test_every_command_takes_them(self):
        random = numpy.random.default_rng(0)
        weights = [("w", random.normal(size=(8, 1, 3, 3)) * 0.3), ("b", random.normal(size=8) * 0.3), ("v", random.normal(size=(3, 8)) * 0.3), ("d", numpy.zeros(3))]
        nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], name="conv"), helper.make_node("Relu", ["c"], ["r"]),
                 helper.make_node("GlobalAveragePool", ["r"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]), helper.make_node("Gemm", ["f", "v", "d"], ["y"], transB=1, name="fc")]
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
                                  [onnx.numpy_helper.from_array(array.astype(numpy.float32), name) for name, array in weights])
        model = self.folder / "c.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
        self.class_folders(self.data / "train", 8)
        self.class_folders(self.data / "val", 4)
        training = ["--epochs", 60, "--batch", 8, "--lr", 0.05, "--augment", "flip,shift:1,erase", "--holdout", 3]
        commands = {"prune": ["--sparsity", 0.5, *training], "qat": training, "distill": ["--teacher", "none", *training], "quantize": []}
        for command, options in commands.items():
            with self.subTest(command=command):
                report = self.folder / f"{command}.json"
                pare(command, model, "--data", self.data, "-o", self.folder / f"{command}.onnx", "--report", report, "-q", *options, code=0 if options else 5)
                accuracy = json.loads(report.read_text())["metrics"]["accuracy"]
                if options:
                    self.assertEqual(accuracy, 1)
        again = self.folder / "again.json"
        pare("prune", model, "--data", self.data, "-o", self.folder / "again.onnx", "--report", again, "-q", *commands["prune"])
        self.assertEqual((self.folder / "again.onnx").read_bytes(), (self.folder / "prune.onnx").read_bytes())


if __name__ == "__main__":
    unittest.main()
