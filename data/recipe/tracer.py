"""From a scene in numpy to a picture and a mask: path tracing with Mitsuba, denoising."""

import ctypes.util
import importlib.util
import os
import re
import sys
from glob import glob

import numpy as np

from .camera import develop
from .environments import WIDTH
from .meshes import Mesh
from .scene import Scene, Surface, build
from .textures import SIZE as TEXTURE_SIZE

SIZE, SAMPLES = 160, 20  # pixels along a side and paths per pixel of the committed pictures
MASK_SAMPLES = 8
EMPTY_TRIANGLE = [[0, 0, -60]] * 3  # which no ray can meet
PACKAGES = {"mitsuba": "mitsuba", "pyoidn": "pyoidn", "skimage": "scikit-image", "scipy": "scipy"}
OLDEST_LLVM = 17  # 14 is refused, 15 and 16 abort while they compile
LLVM_FOLDERS = [
    "/usr/lib/*",
    "/usr/lib/llvm-*/lib",
    "/usr/lib64",
    "/usr/lib",
    f"{sys.prefix}/lib",
    "/opt/homebrew/opt/llvm*/lib",
    "/usr/local/opt/llvm*/lib",
]


# ---------------------------------------------------------------- what must be installed


def llvm_version(path: str) -> int:
    """The major version that the name of an LLVM library tells, 0 if it tells none."""
    found = re.search(r"libLLVM(?:\.so\.|\.|-)(\d+)|llvm[-@/]+(\d+)", path)
    return int(found[1] or found[2]) if found else 0


def find_llvm() -> str | None:
    """The LLVM library to compile with: DRJIT_LIBLLVM_PATH, else the newest in the usual places."""
    if os.environ.get("DRJIT_LIBLLVM_PATH"):
        return os.environ["DRJIT_LIBLLVM_PATH"]
    files = [path for folder in LLVM_FOLDERS for path in glob(f"{folder}/libLLVM[-.]*")]
    newest = max(map(os.path.realpath, files), key=llvm_version, default="")
    if llvm_version(newest) >= OLDEST_LLVM:
        return newest
    names = (f"LLVM-{version}" for version in range(30, OLDEST_LLVM - 1, -1))
    return next(filter(None, map(ctypes.util.find_library, names)), None)


def missing() -> str | None:
    """One sentence that says what to install before pictures can be rendered, None if nothing."""
    absent = [name for module, name in PACKAGES.items() if not importlib.util.find_spec(module)]
    if absent:
        return f"rendering needs the packages {', '.join(absent)}: pip install {' '.join(absent)}"
    if not find_llvm():
        return (
            f"rendering needs the LLVM library, version {OLDEST_LLVM} or newer: install it "
            "(Debian and Ubuntu: apt-get install libllvm19; macOS: brew install llvm) "
            "or set DRJIT_LIBLLVM_PATH to its file"
        )
    return None


# ---------------------------------------------------------------- rendering


class Tracer:
    """Renders pictures of one size; RuntimeError says what to install if something is missing.

    It keeps one Mitsuba scene and fills it anew for every picture, because a new one would be
    compiled for 2 s. It uses one thread, so that the same picture always has the same bytes.
    """

    def __init__(self, size: int = SIZE, samples: int = SAMPLES):
        sentence = missing()
        if sentence:
            raise RuntimeError(sentence)
        os.environ.setdefault("DRJIT_LIBLLVM_PATH", find_llvm())
        import drjit
        import mitsuba
        import pyoidn

        mitsuba.set_variant("llvm_ad_rgb")
        drjit.set_thread_count(1)
        self.drjit, self.mitsuba, self.denoise = drjit, mitsuba, pyoidn.denoise
        self.size, self.samples = size, samples
        self.scene = mitsuba.load_dict(self._template())
        self.parameters = mitsuba.traverse(self.scene)
        self.guides = mitsuba.load_dict({"type": "aov", "aovs": "albedo:albedo,normal:sh_normal"})

    def render(self, name: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        """One picture [N, N, 3] and its soft mask [N, N], both uint8, of a class and an index."""
        scene, rng = build(name, index)
        self._fill(scene)
        light = self._trace(self.scene.integrator(), self.samples, seed=index + 10)[..., :3]
        guides = self._trace(self.guides, 8, seed=index + 11)[..., -6:]
        picture = develop(self._denoised(light, guides).astype(float), rng)
        return (picture * 255 + 0.5).astype(np.uint8), (self._mask() * 255).astype(np.uint8)

    def _trace(self, integrator, samples: int, seed: int) -> np.ndarray:
        render = self.mitsuba.render
        image = render(self.scene, integrator=integrator, spp=samples, seed=seed)
        return np.array(image).astype(np.float32)

    def _denoised(self, light: np.ndarray, guides: np.ndarray) -> np.ndarray:
        """Remove the noise of too few paths, guided by the colours and normals of surfaces."""
        light = np.minimum(np.nan_to_num(light, posinf=0, neginf=0), 30.0)
        guides = np.nan_to_num(guides, posinf=0, neginf=0)
        albedo = np.ascontiguousarray(np.clip(guides[..., :3], 0, 1))
        normal = np.ascontiguousarray(guides[..., 3:])
        return self.denoise(np.ascontiguousarray(light), albedo=albedo, normal=normal, hdr=True)

    def _mask(self) -> np.ndarray:
        """The share [N, N] of camera rays in every pixel that meet the object first."""
        dr, mi, size = self.drjit, self.mitsuba, self.size
        count = size * size * MASK_SAMPLES
        pixel = dr.arange(mi.UInt32, count) // MASK_SAMPLES
        sampler = mi.load_dict({"type": "independent"})
        sampler.seed(1, count)
        place = (mi.Point2f(pixel % size, pixel // size) + sampler.next_2d()) / size
        ray, _ = self.scene.sensors()[0].sample_ray(0.0, 0.5, place, sampler.next_2d())
        hit = self.scene.ray_intersect_preliminary(ray)
        thing = next(shape for shape in self.scene.shapes() if shape.id() == "object")
        on_object = hit.is_valid() & (hit.shape == mi.ShapePtr(thing))
        hits = np.array(dr.select(on_object, 1.0, 0.0))
        return hits.reshape(size, size, MASK_SAMPLES).mean(-1)

    # ------------------------------------------------------------ the scene that is filled anew

    def _template(self) -> dict:
        mi = self.mitsuba
        look = mi.ScalarTransform4f().look_at([0, -4, 1], [0, 0, 0], [0, 0, 1])
        sky = mi.Bitmap(np.ones((WIDTH // 2, WIDTH, 3), np.float32))
        film = {"type": "hdrfilm", "width": self.size, "height": self.size}
        film["rfilter"] = {"type": "box"}  # the denoiser wants independent pixels
        return {
            "type": "scene",
            "integrator": {"type": "path", "max_depth": 4, "rr_depth": 9},
            "object": self._blank("object", self._painted()),
            "clutter": self._blank("clutter", self._painted()),
            "ground": self._blank("ground", self._textured(), textured=True),
            "wall": self._blank("wall", self._textured(), textured=True),
            "sky": {
                "type": "envmap",
                "bitmap": sky,
                "to_world": mi.ScalarTransform4f().rotate([1, 0, 0], 90),  # z is up
            },
            "camera": {
                "type": "thinlens",
                "fov": 30,
                "aperture_radius": 0.01,
                "focus_distance": 4.0,
                "to_world": look,
                "film": film,
                "sampler": {"type": "independent", "sample_count": self.samples},
            },
        }

    @staticmethod
    def _painted() -> dict:
        """A surface whose colour and finish are given at the vertices."""

        def attribute(name):
            return {"type": "mesh_attribute", "name": f"vertex_{name}"}

        surface = {"type": "principled", "specular": 0.45, "base_color": attribute("color")}
        surface["roughness"] = attribute("roughness")
        surface["metallic"] = attribute("metallic")
        surface["clearcoat"] = attribute("clearcoat")
        return {"type": "twosided", "surface": surface}

    def _textured(self) -> dict:
        """A surface whose colour is a picture."""

        def bitmap(height, width, channels):
            grey = np.full((height, width, channels), 0.5, np.float32)
            return {"type": "bitmap", "bitmap": self.mitsuba.Bitmap(grey), "raw": True}

        surface = {"type": "principled", "specular": 0.4}
        surface["base_color"] = bitmap(TEXTURE_SIZE, TEXTURE_SIZE, 3)
        surface["roughness"] = bitmap(2, 2, 1)
        return {"type": "twosided", "surface": surface}

    def _blank(self, name: str, surface: dict, textured: bool = False):
        """A mesh of one empty triangle, with the attributes it will need."""
        mi = self.mitsuba
        properties = mi.Properties()
        properties["surface"] = mi.load_dict(surface)
        options = {"has_vertex_normals": True, "has_vertex_texcoords": textured}
        mesh = mi.Mesh(name, 3, 1, props=properties, **options)
        if not textured:
            mesh.add_attribute("vertex_color", 3, np.zeros(9, np.float32))
            for attribute in ("roughness", "metallic", "clearcoat"):
                mesh.add_attribute(f"vertex_{attribute}", 1, np.zeros(3, np.float32))
        parameters = mi.traverse(mesh)
        parameters["vertex_positions"] = np.array(EMPTY_TRIANGLE, np.float32).ravel()
        parameters["vertex_normals"] = np.array([0, 0, 1] * 3, np.float32)
        parameters["faces"] = np.array([0, 1, 2], np.uint32)
        if textured:
            parameters["vertex_texcoords"] = np.zeros(6, np.float32)
        parameters.update()
        return mesh

    def _fill(self, scene: Scene) -> None:
        self._clear()
        self._put_painted("object", scene.model.mesh)
        self._put_painted("clutter", scene.clutter)
        self._put_textured("ground", scene.ground)
        if scene.wall:
            self._put_textured("wall", scene.wall)
        sky = scene.place.environment
        if self.parameters["sky.data"].shape[1] == WIDTH + 1:  # repeats its first column
            sky = np.concatenate([sky, sky[:, :1]], 1)
        self.parameters["sky.data"] = self.mitsuba.TensorXf(sky.astype(np.float32))
        self._point_camera(scene)
        self.parameters.update()

    def _clear(self) -> None:
        """Put an empty triangle in place of every mesh.

        Without this the search tree for rays is fitted to the new meshes from that of the picture
        before, and a ray that meets an edge may take one side of it or the other: the picture
        would depend, by a grey level here and there, on what was rendered before it.
        """
        triangle = Mesh(EMPTY_TRIANGLE, [[0, 1, 2]])
        for name in ("object", "clutter"):
            self._put_painted(name, triangle)
        for name in ("ground", "wall"):
            self._put_mesh(name, triangle)
            self.parameters[f"{name}.vertex_texcoords"] = np.zeros(6, np.float32)
        self.parameters.update()

    def _put_mesh(self, name: str, mesh: Mesh) -> None:
        self.parameters[f"{name}.vertex_positions"] = mesh.vertices.astype(np.float32).ravel()
        self.parameters[f"{name}.faces"] = mesh.faces.astype(np.uint32).ravel()
        self.parameters[f"{name}.vertex_normals"] = mesh.normals().astype(np.float32).ravel()

    def _put_painted(self, name: str, mesh: Mesh) -> None:
        self._put_mesh(name, mesh)
        self.parameters[f"{name}.vertex_color"] = mesh.colours.astype(np.float32).ravel()
        for column, attribute in enumerate(("roughness", "metallic", "clearcoat")):
            values = np.ascontiguousarray(mesh.finish[:, column], np.float32)
            self.parameters[f"{name}.vertex_{attribute}"] = values

    def _put_textured(self, name: str, surface: Surface) -> None:
        self._put_mesh(name, surface.mesh)
        tensor = self.mitsuba.TensorXf
        uv = surface.uv.astype(np.float32).ravel()
        colours = np.clip(surface.texture.colours, 0.003, 0.95).astype(np.float32)
        roughness = np.full((2, 2, 1), surface.texture.roughness, np.float32)
        self.parameters[f"{name}.vertex_texcoords"] = uv
        self.parameters[self._key(name, "base_color.data")] = tensor(colours)
        self.parameters[self._key(name, "roughness.data")] = tensor(roughness)

    def _key(self, name: str, ending: str) -> str:
        """The full name of a parameter, which depends on the version of Mitsuba."""
        keys = self.parameters.keys()
        return next(key for key in keys if key.startswith(f"{name}.") and key.endswith(ending))

    def _point_camera(self, scene: Scene) -> None:
        dr, mi, parameters = self.drjit, self.mitsuba, self.parameters
        view, lens = scene.view, scene.lens
        vectors = [vector.tolist() for vector in (view.position, view.target, lens.up)]
        to_world = mi.Transform4f(mi.ScalarTransform4f().look_at(*vectors).matrix)
        dr.make_opaque(to_world)  # values that are not compiled in, or every picture compiles anew
        parameters["camera.to_world"] = to_world
        parameters["camera.x_fov"] = float(view.field_of_view)
        parameters["camera.aperture_radius"] = dr.opaque(mi.Float, float(lens.aperture_radius))
        parameters["camera.focus_distance"] = dr.opaque(mi.Float, float(lens.focus_distance))
