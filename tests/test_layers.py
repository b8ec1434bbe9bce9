"""Layers: the table, receptive fields and records against torch's own gradients and counts."""

import copy
import itertools
import math
import weakref
from collections import OrderedDict
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from lecture_utils import layers, models

# isort: split
import torchvision
from torchvision.models.resnet import BasicBlock

FAMILIES = ("alexnet vgg16 resnet18 densenet121 squeezenet1_1 googlenet mobilenet_v2").split()


def wrapped(module, size=224, name="network", channels=3):
    return models.wrap(module, lambda _: torch.zeros(channels, size, size), [], name, size)


def architecture(name, size=224, device="cpu"):
    """A torchvision network without meaningful weights, made in no time."""
    settings = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    with torch.device("meta"):
        module = torchvision.models.get_model(name, **settings)
    return wrapped(module if device == "meta" else module.to_empty(device=device), size, name)


# --- the table ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_table_counts_what_torchvision_and_torch_count(name):
    rows = layers.table(architecture(name, device="meta"))
    published = torchvision.models.get_model_weights(name).DEFAULT.meta
    assert sum(row.parameters for row in rows) == published["num_params"]
    with FlopCounterMode(display=False) as counter:
        architecture(name, device="meta").module(torch.zeros(1, 3, 224, 224, device="meta"))
    assert 2 * sum(row.multiply_adds for row in rows) == counter.get_total_flops()


def test_table_of_mini_alexnet_by_hand():
    rows = {row.name: row for row in layers.table(wrapped(models.mini_alexnet(), 160))}
    conv2 = rows["conv2"]
    assert (conv2.kind, conv2.kernel, conv2.stride, conv2.groups) == ("Conv2d", 5, 1, 2)
    assert conv2.output_shape == (192, 18, 18)
    assert conv2.parameters == 192 * (96 // 2) * 5 * 5 + 192
    assert conv2.multiply_adds == 192 * 18 * 18 * (96 // 2) * 5 * 5
    assert rows["pool1"].kernel == 3 and rows["pool1"].stride == 2
    assert rows["fc6"].multiply_adds == 128 * 3 * 3 * 512
    assert rows["relu1"].parameters == rows["relu1"].multiply_adds == 0
    assert rows["relu1"].kernel is None


def test_table_shows_shapes_as_the_network_gives_them():
    network, pictures = small("residual")
    rows = {row.name: row for row in layers.table(network)}
    modules = [name for name in rows if not name.endswith("()")]
    outputs = layers.record(network, pictures, modules)
    assert {name: tuple(value.shape[1:]) for name, value in outputs.items()} == {
        name: rows[name].output_shape for name in modules
    }


def test_table_renders_as_text():
    rows = layers.table(wrapped(models.mini_alexnet(), 160))
    lines = str(rows).splitlines()
    assert len(lines) == len(rows) + 2
    assert (
        lines[4].split()
        == "conv2 Conv2d, 2 groups 5×5 1 192×18×18 230,592 74,649,600 51×51".split()
    )


def test_table_renders_as_a_table_in_jupyter():
    rows = layers.table(wrapped(models.mini_alexnet(), 160))
    root = ElementTree.fromstring(rows._repr_html_())
    cells = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]
    assert root.tag == "table" and len(root[0].findall("th")) == 8
    assert [" ".join(row).split() for row in cells] == list(map(str.split, str(rows).splitlines()))
    strange = layers.LayerRow("<lambda>()", "a&b", None, None, (1,), 0, 0, None)
    text = ElementTree.fromstring(layers.LayerTable([strange])._repr_html_()).itertext()
    assert {"<lambda>()", "a&b"} <= set(text)


def test_functions_and_repeated_modules_have_rows():
    names = [row.name for row in layers.table(architecture("resnet18", device="meta"))]
    assert names[4:11] == [
        *("layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu#1", "layer1.0.conv2", "layer1.0.bn2"),
        *("layer1.0.add()", "layer1.0.relu#2"),
    ]
    kinds = {row.name: row.kind for row in layers.table(small("dense")[0])}
    assert kinds["relu()"] == "relu" and kinds["features.denseblock1.denselayer2.cat()"] == "cat"


def test_a_shared_module_is_counted_once():
    conv = nn.Conv2d(3, 3, 3, padding=1)
    rows = layers.table(wrapped(nn.Sequential(conv, nn.ReLU(), conv), 8))
    assert [row.name for row in rows] == ["0#1", "1", "0#2"]
    assert [row.parameters for row in rows] == [3 * 3 * 9 + 3, 0, 0]
    assert rows[2].multiply_adds == rows[0].multiply_adds > 0


# --- receptive fields ---------------------------------------------------------------------------


class Average(nn.Module):
    """The same window as a convolution or pooling, but every weight positive and one channel."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        layer, x = self.layer, x.mean(1, keepdim=True)
        if isinstance(layer, nn.Conv2d):
            kernel = torch.ones(1, 1, *layer.kernel_size, dtype=x.dtype) / math.prod(
                layer.kernel_size
            )
            return F.conv2d(x, kernel, None, layer.stride, layer.padding, layer.dilation)
        return F.avg_pool2d(x, layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1, keepdim=True)


def linearise(module):
    """Replace all that hides a path from the gradient; windows and graph stay."""
    for name, child in module.named_children():
        if isinstance(child, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            setattr(module, name, Average(child))
        elif isinstance(child, nn.Linear):
            setattr(module, name, Mean())
        elif isinstance(child, (nn.ReLU, nn.ReLU6, nn.BatchNorm2d, nn.Dropout)):
            setattr(module, name, nn.Identity())
        else:
            linearise(child)
    return module


def outputs_of(module, names, size, picture=None):
    """One pass for gradients: the picture, and the last output of each named module."""
    picture = torch.ones(1, 3, size, size, dtype=torch.double) if picture is None else picture
    picture, outputs = picture.requires_grad_(), {}
    for name in names:
        module.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: outputs.__setitem__(name, output)
        )
    module(picture)
    return picture, outputs


def gradient_box(picture, output, row, column):
    """The bounding box of all pixels with a gradient to one unit; None if there is none."""
    unit = output.flatten(2)[:, :, row * output.shape[3] + column] if output.ndim == 4 else output
    (gradient,) = torch.autograd.grad(unit.sum(), picture, retain_graph=True)
    reached = gradient[0].abs().sum(0) > 0
    rows, columns = reached.any(1).nonzero().flatten(), reached.any(0).nonzero().flatten()
    if len(rows) == 0:
        return None
    return rows[0].item(), columns[0].item(), rows[-1].item() + 1, columns[-1].item() + 1


def vgg():
    """VGG16's plan (Simonyan & Zisserman 2015, table 1, D), narrow."""
    plan = "2 2 M 2 2 M 2 2 2 M 2 2 2 M 2 2 2 M".split()
    features = torchvision.models.vgg.make_layers([n if n == "M" else int(n) for n in plan])
    return nn.Sequential(OrderedDict(features=features))


def bottlenecks():
    """The blocks of ResNet50 and ResNet101, fewer of them."""
    return torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, [1, 1, 2, 1], 4)


def narrow_dense():
    return torchvision.models.DenseNet(4, (2, 2), 8, num_classes=4)


def depthwise():
    blocks = [[1, 8, 1, 1], [2, 8, 2, 2]]  # expansion, channels, repetitions, stride
    return torchvision.models.MobileNetV2(4, inverted_residual_setting=blocks)


PLACES = {
    "mini_alexnet": (models.mini_alexnet, "conv1 pool1 conv2 pool2 conv3 conv5 pool5 fc6 fc8"),
    "alexnet": (None, "features.0 features.3 features.10 features.12 avgpool classifier.6"),
    "vgg": (vgg, "features.2 features.9 features.28 features.30"),
    "resnet18": (None, "maxpool layer1 layer2.0.downsample.0 layer2 avgpool fc"),
    "bottlenecks": (bottlenecks, "layer1.0.conv2 layer2.0 layer3 layer4"),
    "dense": (narrow_dense, "features.denseblock1 features.norm5 classifier"),
    "squeezenet1_0": (None, "features.2 features.3.expand1x1 features.4 features.11"),
    "googlenet": (None, "inception3b inception4a.branch4"),
    "depthwise": (depthwise, "features.2.conv.1.0 features.3 features.4 classifier.1"),
}


@pytest.mark.parametrize("name", PLACES)
def test_boxes_are_where_the_gradient_is(name):
    size = 160 if name == "mini_alexnet" else 224
    make, places = PLACES[name]
    network = wrapped(make(), size) if make else architecture(name)
    fields = {place: layers.receptive_field(network, place) for place in places.split()}
    picture, outputs = outputs_of(linearise(network.module), fields, size)
    for place, output in outputs.items():
        count = output.shape[-1] if output.ndim == 4 else 1
        for row, column in {(0, 0), (count - 1, count // 2), (count // 2, 0)}:
            expected = gradient_box(picture, output, row, column)
            assert fields[place].box(row, column, size) == expected, (place, row, column)


PUBLISHED = {  # where there is room for the whole field: a picture of 700 pixels
    "alexnet": {
        f"features.{n}": s for n, s in zip((0, 3, 6, 8, 10, 12), (11, 51, 99, 131, 163, 195))
    },
    "vgg16": {"features.28": 196, "features.30": 212},
    "resnet18": {"layer1": 43, "layer2": 99, "layer3": 211, "layer4": 435},
    "resnet50": {"layer4": 427},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_whole_fields_are_as_published_and_as_the_gradient_says(name):
    network = architecture(name, size=700)
    fields = {place: layers.receptive_field(network, place) for place in PUBLISHED[name]}
    assert {place: field.size for place, field in fields.items()} == PUBLISHED[name]
    picture, outputs = outputs_of(linearise(network.module), fields, 700)
    for place, output in outputs.items():
        middle = output.shape[-1] // 2
        for unit in (middle, middle + 1):
            assert fields[place].box(unit, unit) == gradient_box(picture, output, unit, unit)


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("mini_alexnet", "conv1 pool1 conv2 conv5 fc6"),
        ("resnet18", "maxpool layer1.0.conv1 layer2.0.downsample.0 layer2 avgpool fc"),
        ("squeezenet1_0", "features.2 features.3.expand1x1 features.3.expand3x3 features.11"),
        ("dense", "features.denseblock1 features.norm5 classifier"),
    ],
)
def test_what_feeds_a_unit_is_where_the_gradient_is(name, places):
    size, places = 160 if name == "mini_alexnet" else 224, places.split()
    make = PLACES[name][0]
    network = wrapped(make(), size) if make else architecture(name)
    fed = {source: layers.fed_by(network, source, places) for source in places}
    _, outputs = outputs_of(linearise(network.module), places, size)
    for source, later in itertools.combinations(places, 2):
        fields, output = fed[source], outputs[later]
        count = output.shape[-1] if output.ndim == 4 else 1
        for row, column in {(0, 0), (count - 1, count // 2), (count // 2, 0)}:
            if later in fields:
                expected = gradient_box(outputs[source], output, row, column)
                assert fields[later].box(row, column, fields[later].input_size) == expected
            else:
                with pytest.raises(RuntimeError, match="not have been used in the graph"):
                    gradient_box(outputs[source], output, row, column)


def test_what_feeds_a_unit_needs_maps_and_a_layer_that_runs():
    network = wrapped(models.mini_alexnet(), 160)
    assert layers.fed_by(network, "fc6", ["fc7"]) == {}
    assert layers.fed_by(network, "conv2", ["conv1"]) == {}
    with pytest.raises(layers.UnknownLayer):
        layers.fed_by(network, "conv9", ["fc7"])


@st.composite
def chains(draw):
    """A few convolutions and poolings with odd numbers, sometimes beside a shortcut."""
    pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        kernel, stride = draw(pairs), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        kind = draw(st.sampled_from("conv same max average adaptive shortcut gate".split()))
        if kind == "conv":
            padding = draw(st.tuples(*(st.integers(0, k) for k in kernel)))
            dilation = draw(st.integers(1, 3))
            parts.append(nn.Conv2d(1, 1, kernel, stride, padding, dilation))
        elif kind == "same":
            parts.append(nn.Conv2d(1, 1, kernel, padding="same", dilation=draw(st.integers(1, 2))))
        elif kind == "adaptive":
            parts.append(nn.AdaptiveAvgPool2d(draw(pairs)))
        elif kind == "shortcut":
            parts.append(Shortcut(nn.Conv2d(1, 1, kernel, padding="same")))
        elif kind == "gate":
            parts.append(Gate())
        else:
            pooling = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
            padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
            parts.append(pooling(kernel, stride, padding, ceil_mode=draw(st.booleans())))
    return nn.Sequential(nn.Conv2d(3, 1, 1), *parts), draw(st.integers(9, 21))


class Shortcut(nn.Module):
    def __init__(self, branch):
        super().__init__()
        self.branch = branch

    def forward(self, x):
        return x + self.branch(x) + F.avg_pool2d(x, 3, 1, 1)


class Gate(nn.Module):
    """The mean of all positions reaches each, as in squeeze-and-excitation, but linear."""

    def forward(self, x):
        return x + F.adaptive_avg_pool2d(x, 1)


NORMALISATIONS = {  # of 4 channels, 12 x 12
    "batch": nn.BatchNorm2d(4),
    "batch, of the picture": nn.BatchNorm2d(4, track_running_stats=False),
    "instance": nn.InstanceNorm2d(4),
    "instance, of the training": nn.InstanceNorm2d(4, track_running_stats=True),
    "group": nn.GroupNorm(2, 4),
    "layer": nn.LayerNorm((4, 12, 12)),
    "maps": nn.LayerNorm((12, 12)),
    "rows": nn.LayerNorm(12),
    "root mean square": nn.RMSNorm((4, 12, 12)),
    "local": nn.LocalResponseNorm(2),
}


@pytest.mark.parametrize("kind", NORMALISATIONS)
def test_boxes_behind_a_normalisation_are_where_the_gradient_is(kind):
    torch.manual_seed(0)
    parts = nn.Conv2d(3, 4, 3, padding=1), NORMALISATIONS[kind], nn.Conv2d(4, 4, 3, 2)
    module = nn.Sequential(*parts).eval().double()
    fields = [layers.receptive_field(wrapped(module, 12), name) for name in "12"]
    picture, outputs = outputs_of(module, "12", 12, torch.randn(1, 3, 12, 12).double())
    for output, field in zip(outputs.values(), fields):
        for row, column in ((0, 0), (3, 2), (4, 4)):
            expected = gradient_box(picture, output[:, :1], row, column)
            assert field.box(row, column, 12) == expected


@settings(max_examples=50, deadline=None)
@given(chains())
def test_boxes_of_random_chains_against_brute_force(chain):
    module, size = chain
    linear = linearise(copy.deepcopy(module))
    name = str(len(module) - 1)
    try:
        picture, outputs = outputs_of(linear, [name], size)
    except RuntimeError:  # the map shrank to nothing
        return
    output = outputs[name]
    field = layers.receptive_field(wrapped(module, size), name)
    rows, columns = output.shape[-2:]
    for step in range(max(rows, columns)):
        row, column = min(step, rows - 1), min(step, columns - 1)
        top, left, bottom, right = field.box(row, column, size)
        expected = gradient_box(picture, output, row, column)
        if expected is None:  # a unit that sees only padding
            assert top == bottom or left == right
        else:
            assert (top, left, bottom, right) == expected

    sides = [part for value in (field.size, field.stride) for part in np.atleast_1d(value)]
    if any(isinstance(part, (nn.AdaptiveAvgPool2d, Gate)) for part in module) or max(sides) > 60:
        return  # the field depends on the size of the picture, or is too large for brute force
    size = 4 * max(sides)  # far from all borders the whole field is in the picture
    picture, outputs = outputs_of(linear, [name], size)
    rows, columns = (count // 2 for count in outputs[name].shape[-2:])
    whole = layers.receptive_field(wrapped(module, 2 * size), name).box(rows, columns)
    assert whole == gradient_box(picture, outputs[name], rows, columns)


def test_a_box_is_cut_at_the_border_of_other_sizes_too():
    field = layers.receptive_field(architecture("alexnet"), "conv2")
    assert (field.size, field.stride, field.start) == (51, 8, -18)
    assert field.box(0, 2) == (-18, -2, 33, 49)
    assert field.box(0, 2, input_size=40) == (0, 0, 33, 40)


def test_layers_behind_flattening_see_all_that_is_read():
    field = layers.receptive_field(wrapped(models.mini_alexnet(), 160), "fc7")
    # conv1 reads 38 windows, pool1 uses 37 of them: 36 * 4 + 11 = 155 of 160 pixels
    assert (field.size, field.stride) == (155, 0)
    assert field.box(0, 0, 160) == field.box(0, 0) == (0, 0, 155, 155)


def test_kernels_that_are_not_square():
    chain = nn.Sequential(nn.Conv2d(3, 4, (1, 7), padding=(0, 3)), nn.MaxPool2d((2, 1)))
    field = layers.receptive_field(wrapped(chain, 20), "1")
    assert (field.size, field.stride, field.start) == ((2, 7), (2, 1), (0, -3))


def test_calls_of_one_module_and_functions():
    network = architecture("resnet18")
    sizes = [
        layers.receptive_field(network, f"layer1.0.{place}").size
        for place in ("relu#1", "add()", "relu#2", "relu")
    ]
    assert sizes == [19, 27, 27, 27]
    dense = wrapped(torchvision.models.DenseNet(4, (2, 2), 8), 64)
    assert layers.receptive_field(dense, "relu()") == layers.receptive_field(dense, "features")


class Normalised(nn.Module):
    """A network that brings its preprocessing: plain tensors, neither parameters nor buffers."""

    def __init__(self):
        super().__init__()
        self.mean, self.conv = torch.full((3, 1, 1), 0.5), nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return self.conv((x - self.mean) / torch.full((3, 1, 1), 0.25))


def test_constants_in_the_forward_pass():
    network = wrapped(Normalised(), 16)
    rows = layers.table(network)
    assert [row.name for row in rows] == ["sub()", "truediv()", "conv"]
    assert [row.receptive_field for row in rows] == [1, 1, 3]
    assert network.module.mean.device.type == "cpu"


class Awkward(nn.Module):
    def __init__(self, by_value):
        super().__init__()
        self.conv, self.up = nn.Conv2d(3, 2, 3), nn.Upsample(scale_factor=2)
        self.unused, self.by_value = nn.ReLU(), by_value

    def forward(self, x):
        return self.up(self.conv(x)) if not self.by_value or x.sum() > 0 else x


def test_what_cannot_be_followed_is_said():
    network = wrapped(Awkward(by_value=False), 16)
    assert [row.receptive_field for row in layers.table(network)] == [3, None]
    with pytest.raises(ValueError, match="'up': the receptive field cannot be followed"):
        layers.receptive_field(network, "up")
    with pytest.raises(layers.UnknownLayer, match="'unused' takes no part"):
        layers.receptive_field(network, "unused")
    with pytest.raises(ValueError, match="forward pass of network cannot be followed"):
        layers.table(wrapped(Awkward(by_value=True), 16))
    with pytest.raises(IndexError, match="no unit 14: the layer has 14"):
        layers.receptive_field(network, "conv").box(14, 0, 16)


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "pairs"),
    [
        (
            "alexnet",
            "conv1=features.0 conv2=features.3 conv3=features.6 conv4=features.8 conv5=features.10 "
            "relu5=features.11 pool1=features.2 pool5=features.12 fc6=classifier.1 "
            "fc7=classifier.4 relu7=classifier.5 fc8=classifier.6",
        ),
        (
            "vgg16",
            "conv1=features.0 relu1=features.1 conv1_2=features.2 conv3=features.14 "
            "conv5_3=features.28 conv5=features.28 relu5_3=features.29 pool5=features.30 "
            "fc6=classifier.0 fc7=classifier.3 fc8=classifier.6",
        ),
        ("vgg16_bn", "conv5_3=features.40 relu5_3=features.42 pool5=features.43"),
        ("resnet18", "conv1=conv1 pool1=maxpool conv2=layer1 conv5=layer4 layer4=layer4"),
        ("resnet18", "layer2.0.relu#1=layer2.0.relu#1 pool5=avgpool"),
        ("densenet121", "conv1=features.conv0 conv5=features.denseblock4"),
        ("densenet121", "pool1=features.pool0 pool4=features.transition3.pool"),
        ("squeezenet1_0", "conv1=features.0 fire2=features.3 fire9=features.12 pool8=features.11"),
        ("squeezenet1_1", "pool3=features.5 conv10=classifier.1 features.3=features.3"),
    ],
)
def test_names_of_the_field(network, pairs):
    network = architecture(network, device="meta")
    for pair in pairs.split():
        name, place = pair.split("=")
        assert layers.resolve(network, name) == place


def test_exact_names_win():
    alexnet = architecture("alexnet", device="meta")
    alexnet.module.conv5 = nn.Identity()
    assert layers.resolve(alexnet, "conv5") == "conv5"


@pytest.mark.parametrize("name", ["conv6", "", "#1", "conv5#one", "conv5#", None, 3])
def test_unknown_names_say_what_exists(name):
    with pytest.raises(KeyError) as caught:
        layers.resolve(wrapped(models.mini_alexnet(), 160, "mini_alexnet"), name)
    message = str(caught.value)
    assert message.startswith(f"no layer {name!r}; mini_alexnet has conv1, relu1, pool1, conv2")
    assert "fc8" in message
    assert name != "conv6" or "did you mean conv" in message


# --- records ------------------------------------------------------------------------------------


def grouped():
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, groups=2)),
        *(nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 36, 4)),
    )


SMALL = {
    "grouped": grouped,
    "residual": lambda: torchvision.models.ResNet(BasicBlock, [1, 1, 1, 1], 4),
    "dense": narrow_dense,
    "depthwise": depthwise,
    "branches": lambda: torchvision.models.squeezenet1_1(num_classes=4),
}


def small(family, seed=0):
    """A network of its family with lively weights and normalisation, and two pictures."""
    torch.manual_seed(seed)
    module = SMALL[family]().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.3)
            nn.init.normal_(part.bias, std=0.3)
    size = 16 if family == "grouped" else 64
    return wrapped(module, size), torch.randn(2, 3, size, size)


@pytest.mark.parametrize("family", SMALL)
def test_record_is_what_the_network_computes_without_in_place_operations(family):
    network, pictures = small(family)
    reference, expected = copy.deepcopy(network.module), {}
    names = [name for name, part in reference.named_modules() if name]
    for name, part in reference.named_modules():
        if hasattr(part, "inplace"):
            part.inplace = False
        part.register_forward_hook(
            lambda _m, _i, output, name=name: expected.__setitem__(name, output.detach().clone())
        )
    with torch.no_grad():
        logits = reference(pictures)
    recorded = layers.record(network, pictures, names)
    assert list(recorded) == names
    for name in names:
        torch.testing.assert_close(recorded[name], expected[name], rtol=0, atol=0)
    assert torch.equal(recorded[names[-1]].flatten(1), logits.flatten(1)) or family == "branches"


def test_record_against_slices_of_a_chain():
    network, pictures = small("grouped")
    recorded = layers.record(network, pictures, ["0", "1", "2", "3", "6"])
    with torch.no_grad():
        conv = F.conv2d(pictures, network.module[0].weight, network.module[0].bias)
        torch.testing.assert_close(recorded["0"], conv)
        torch.testing.assert_close(recorded["1"], conv.clamp(min=0))
        halves = [
            F.conv2d(x, w)
            for x, w in zip(conv.clamp(min=0).split(4, 1), network.module[2].weight.split(4))
        ]
        second = torch.cat(halves, 1) + network.module[2].bias[:, None, None]
        torch.testing.assert_close(recorded["2"], second)
        torch.testing.assert_close(recorded["6"], network(pictures))
    assert recorded["0"].min() < 0 and recorded["2"].min() < 0  # not what a ReLU left behind


def test_record_of_a_residual_block_call_by_call():
    network, pictures = small("residual")
    block = network.module.layer1[0]
    names = ["maxpool", "layer1.0.relu#1", "layer1.0.bn2", "layer1.0.relu#2", "layer1.0.relu"]
    start, first, before, second, last = layers.record(network, pictures, names).values()
    with torch.no_grad():
        torch.testing.assert_close(first, block.bn1(block.conv1(start)).relu())
        torch.testing.assert_close(before, block.bn2(block.conv2(first)))
        torch.testing.assert_close(second, (before + start).relu())
    assert torch.equal(second, last)


def test_the_last_relu_of_a_densenet():
    network, pictures = small("dense")
    maps = layers.record(network, pictures, "features")["features"]
    assert maps.min() < 0
    with torch.no_grad():
        logits = network.module.classifier(maps.relu().mean((2, 3)))
        torch.testing.assert_close(logits, network(pictures))


def test_record_keeps_the_names_as_asked():
    network = wrapped(torchvision.models.alexnet())
    names = ["conv1", "features.0", "fc7", "conv1"]
    asked = layers.record(network, torch.rand(1, 3, 224, 224), names)
    assert list(asked) == ["conv1", "features.0", "fc7"] and asked["conv1"].shape[0] == 1
    assert torch.equal(asked["conv1"], asked["features.0"]) and asked["fc7"].shape == (1, 4096)


def test_record_takes_batches_one_at_a_time_and_forgets_them():
    network, _ = small("grouped")
    pictures, outputs = torch.randn(7, 3, 16, 16), []

    def batches():
        for batch in pictures.split(3):
            assert all(output() is None for output in outputs), "an earlier output is still alive"
            yield batch

    def maximum(maps):
        outputs.append(weakref.ref(maps))
        return maps.amax((2, 3))

    kept = layers.record(network, batches(), ["0", "2"], keep=maximum)
    whole = layers.record(network, pictures, ["0", "2"])
    assert len(outputs) == 6
    for name in ("0", "2"):
        torch.testing.assert_close(kept[name], whole[name].amax((2, 3)))


def test_what_keep_does_to_its_copy_does_not_reach_the_network():
    network, pictures = small("grouped")
    doubled = layers.record(network, pictures, ["0", "6"], keep=lambda x: x.mul_(2))
    with torch.no_grad():
        torch.testing.assert_close(doubled["0"], 2 * network.module[0](pictures))
        torch.testing.assert_close(doubled["6"], 2 * network(pictures))


class Interrupted(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, x):
        raise self.error


FAILURES = [
    (f"{where} {error.__name__}", error)
    for where in ("forward", "keep", "batches")
    for error in (RuntimeError, KeyboardInterrupt)
] + [("names", KeyError), ("shape", ValueError), ("nothing", None)]


@pytest.mark.parametrize(("where", "error"), FAILURES)
def test_the_network_is_left_as_it_was(where, error):
    module = nn.Sequential(grouped(), nn.BatchNorm1d(4), nn.Dropout(), nn.Identity())
    if where.startswith("forward"):
        module[3] = Interrupted(error())
    for part, training in zip(module.modules(), itertools.cycle([True, False, True])):
        part.training = training
    seen = []
    module[1].register_forward_hook(lambda *_: seen.append("the user's own hook"))

    def state():
        return [
            (part.training, dict(part._forward_hooks), dict(part._forward_pre_hooks))
            for part in module.modules()
        ]

    def fail(*_):
        raise error()

    def broken():
        yield torch.randn(2, 3, 16, 16)
        fail()

    values = {key: value.clone() for key, value in module.state_dict().items()}
    before, network = state(), wrapped(copy.copy(module), 16)
    network.module = module  # `wrap` switches to evaluation mode; here flags are mixed
    for part, (training, *_) in zip(module.modules(), before):
        part.training = training
    batch = {"batches": broken(), "shape": torch.randn(3, 16, 16)}.get(
        where.split()[0], torch.randn(2, 3, 16, 16)
    )
    keep = fail if where.startswith("keep") else None
    names = ["0.0", "nowhere"] if where == "names" else ["0.0", "1"]
    if error is None:
        layers.record(network, batch, names)
    else:
        with pytest.raises(error):
            layers.record(network, batch, names, keep)
    assert state() == before
    assert torch.is_grad_enabled()
    assert all(torch.equal(values[key], value) for key, value in module.state_dict().items())
    assert seen or where in ("names", "shape") or where.startswith("keep")


def test_table_and_receptive_field_do_not_touch_the_network():
    network, _ = small("residual")
    network.module.train()
    network.module.layer2.eval()
    fired = []
    network.module.layer1.register_forward_hook(lambda *_: fired.append("a hook of the user"))
    flags = [part.training for part in network.module.modules()]
    values = copy.deepcopy(network.module.state_dict())
    layers.table(network)
    layers.receptive_field(network, "layer3")
    assert not fired and len(network.module.layer1._forward_hooks) == 1
    assert [part.training for part in network.module.modules()] == flags
    now = network.module.state_dict()
    assert all(torch.equal(values[key], now[key]) for key in values)


def test_record_says_what_is_wrong():
    network, pictures = small("grouped")
    with pytest.raises(ValueError, match=r"\[B, channels, H, W\]; this is \[3, 16, 16\]"):
        layers.record(network, pictures[0], "0")
    with pytest.raises(ValueError, match="this is list"):
        layers.record(network, [[pictures, 0]], "0")
    with pytest.raises(ValueError, match="no pictures"):
        layers.record(network, [], "0")
    with pytest.raises(ValueError, match="which layers of network shall be recorded"):
        layers.record(network, pictures, iter([]))
    with pytest.raises(layers.UnknownLayer, match="'0#2' takes no part in the forward pass"):
        layers.record(network, pictures, "0#2")
    with pytest.raises(layers.UnknownLayer, match="'unused' takes no part"):
        layers.record(wrapped(Awkward(by_value=False), 16), pictures, ["conv", "unused"])


# --- networks of other makes --------------------------------------------------------------------


def lenet():
    """For grey pictures of 28 px (LeCun et al. 1998, with ReLUs)."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5)),
        *(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 10)),
    )


def test_a_network_for_grey_pictures():
    network = wrapped(lenet(), 28, channels=1)
    rows = layers.table(network)
    assert [row.output_shape for row in rows if row.kind == "Conv2d"] == [(6, 28, 28), (16, 10, 10)]
    assert sum(row.parameters for row in rows) == 6 * 26 + 16 * 151 + 401 * 10
    field = layers.receptive_field(network, "3")
    assert (field.size, field.stride, field.start) == (14, 2, -2)  # 5 + 1 + 4 * 2
    pictures = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(layers.record(network, pictures, "7")["7"], network(pictures))


@pytest.mark.parametrize("precision", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["grouped", "dense"])
def test_networks_in_other_precisions(family, precision):
    network, pictures = small(family)
    name = "2" if family == "grouped" else "features.denseblock1"
    rows, field = layers.table(network), layers.receptive_field(network, name)
    expected = layers.record(network, pictures, name)[name]
    network.module.to(precision)
    assert layers.table(network) == rows and layers.receptive_field(network, name) == field
    found = layers.record(network, pictures, name)[name]
    assert found.dtype == (torch.float64 if precision == torch.float64 else torch.float32)
    # rounding errors of a few layers, each of 2^-8 of the largest values
    tolerance = 1e-5 if precision == torch.float64 else 4 * 2**-8 * expected.abs().max().item()
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance)


class Outputs(nn.Module):
    """Gives its logits as some libraries do, together with its feature maps."""

    def __init__(self, form):
        super().__init__()
        self.conv, self.head, self.form = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), form

    def forward(self, x):
        maps = self.conv(x)
        return self.form(self.head(maps.mean((2, 3))), maps)


@pytest.mark.parametrize(
    "form",
    [lambda logits, maps: (logits, maps), lambda logits, maps: {"logits": logits, "m": maps}],
)
@pytest.mark.parametrize("wrap", [lambda module: module, nn.DataParallel])
def test_several_outputs_and_wrappers(form, wrap):
    module = Outputs(form)
    network, pictures = wrapped(wrap(module), 12), torch.randn(2, 3, 12, 12)
    assert [row.name for row in layers.table(network)] == ["conv", "mean()", "head"]
    assert layers.receptive_field(network, "conv").size == 3
    maps = layers.record(network, pictures, "conv")["conv"]
    torch.testing.assert_close(maps, module.conv(pictures).detach())


def test_a_pass_that_cannot_be_followed_prints_nothing(capfd):
    with pytest.raises(ValueError, match="cannot be followed"):
        layers.table(wrapped(nn.Conv2d(5, 2, 3), 8))
    assert capfd.readouterr() == ("", "")
