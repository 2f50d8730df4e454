import cv2
import numpy as np
import pytest

from affectzoo.errors import DetectorError
from affectzoo.media import faces
from affectzoo.media.detectors.full_frame import FullFrameDetector
from affectzoo.media.detectors.haar import HaarDetector
from affectzoo.media.detectors.yunet import WEIGHTS_VARIABLE, YuNetDetector
from affectzoo.media.faces import Detector, auto_detector, detect_reduced, overlap


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    faces._said_fallback.clear()
    yield
    faces._said_fallback.clear()


def test_the_whole_frame_is_one_face():
    np.testing.assert_array_equal(FullFrameDetector().detect(np.zeros((30, 40, 3), np.uint8)), [[0, 0, 40, 30, 1]])


def test_boxes_come_back_in_pixels_of_the_large_picture():
    class Corner:
        def detect(self, image):
            assert max(image.shape) == 320
            height, width = image.shape[:2]
            bad = [[5, 5, 5, 9, 1], [np.nan, 0, 9, 9, 1]]
            return np.array([[width / 2, height / 2, width, height, 0.8], *bad], dtype=np.float32)

    found = detect_reduced(Corner(), np.zeros((1080, 1920, 3), np.uint8))
    np.testing.assert_allclose(found, [[960, 540, 1920, 1080, 0.8]], rtol=1e-5)


def test_haar_finds_no_face_in_noise_and_is_a_detector():
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    assert HaarDetector().detect(noise).shape == (0, 5)
    assert isinstance(HaarDetector(), Detector)


def test_without_cascades_haar_says_what_to_do(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(DetectorError, match="opencv-python-headless"):
        HaarDetector()


@pytest.mark.parametrize("content", [b"", b"not a network", bytes(5000)])
def test_damaged_weights_are_refused_in_one_sentence(tmp_path, content, capfd):
    (tmp_path / "yunet.onnx").write_bytes(content)
    with pytest.raises(DetectorError, match="damaged") as caught:
        YuNetDetector(str(tmp_path / "yunet.onnx"))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("no_weights")
def test_absent_weights_are_refused_in_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(DetectorError, match="no YuNet weights file"):
        YuNetDetector(str(tmp_path / "absent.onnx"))
    with pytest.raises(DetectorError, match=WEIGHTS_VARIABLE):
        YuNetDetector(local_files_only=True)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "gone.onnx"))
    with pytest.raises(DetectorError, match=WEIGHTS_VARIABLE):
        YuNetDetector()


@pytest.mark.usefixtures("no_weights")
def test_the_fallback_to_haar_is_said_once():
    said = []
    assert all(isinstance(auto_detector(said.append), HaarDetector) for _ in range(3))
    assert len(said) == 1
    assert "Haar" in said[0]


def test_yunet_is_taken_where_its_weights_are(monkeypatch, yunet_weights):
    monkeypatch.setenv(WEIGHTS_VARIABLE, yunet_weights)
    assert isinstance(auto_detector(), YuNetDetector)


def test_haar_boxes_are_those_of_yunet(shared, yunet_weights):
    from affectzoo.media.decode import VideoFrames

    yunet, haar, shared_areas = YuNetDetector(yunet_weights), HaarDetector(), []
    for name in ("grid_brbk7n_360x288_mpeg1_mp2.mpg", "pyfeat_single_face_640x360_h264_mp3.mp4"):
        for number, frame in enumerate(VideoFrames(shared / "media" / name)):
            if number % 25 == 0:
                a, b = detect_reduced(yunet, frame.rgb()), detect_reduced(haar, frame.rgb())
                shared_areas.append(overlap(a[:, :4], b[:, :4]).max(initial=0))
    # Untouched, the cascade's squares overlap YuNet's boxes by 0.70.
    assert np.median(shared_areas) > 0.85
