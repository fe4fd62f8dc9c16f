"""One example of every message, by direction and kind: what the documents show."""

from __future__ import annotations

from typing import Any

_SUBSCRIPTION = "display-001;cam-001"
_MODEL = {"modelId": 101, "modelName": "US-LPR-and-Vehicle-ID"}
_WISH = {
    "subscriptionIdentifier": _SUBSCRIPTION,
    "rtspUrl": "rtsp://camera.example:554/stream1",
    "modelUrl": "https://models.example/vehicles.mpta",
    **_MODEL,
}
_SNAPSHOTS = {
    "subscriptionIdentifier": "display-002;cam-001",
    "snapshotUrl": "http://camera.example/snapshot.jpg",
    "snapshotInterval": 500,
    "modelUrl": "https://models.example/vehicles.mpta",
    **_MODEL,
}

FROM_CMS: dict[str, dict[str, Any]] = {
    "subscribe": {
        "type": "subscribe",
        "payload": {**_WISH, "cropX1": 100, "cropY1": 200, "cropX2": 300, "cropY2": 400, "priority": 7, "fps": 5},
    },
    "unsubscribe": {"type": "unsubscribe", "payload": {"subscriptionIdentifier": _SUBSCRIPTION}},
    "requestState": {"type": "requestState"},
    "setSessionId": {"type": "setSessionId", "payload": {"displayIdentifier": "display-001", "sessionId": 12345}},
    "patchSession": {"type": "patchSession", "sessionId": 12345, "data": {"currentCar": {"carBrand": "Honda"}}},
    "patchSessionResult": {
        "type": "patchSessionResult",
        "payload": {"sessionId": 12345, "success": False, "message": "no such session"},
    },
    "setSubscriptions": {"type": "setSubscriptions", "payload": {"subscriptions": [_WISH, _SNAPSHOTS]}},
}

TO_CMS: dict[str, dict[str, Any]] = {
    "stateReport": {
        "type": "stateReport",
        "cpuUsage": 75.5,
        "memoryUsage": 40.2,
        "gpuUsage": 60.0,
        "gpuMemoryUsage": 25.1,
        "cameraConnections": [
            {
                "subscriptionIdentifier": _SUBSCRIPTION,
                **_MODEL,
                "online": True,
                "requestedFps": 5.0,
                "achievedFps": 4.9,
                "cameraFps": 25.0,
                "overload": None,
                "frameAge": {"p50": 0.12, "p95": 0.21},
                "dropped": {"superseded": 12, "replaced": 0, "late": 0, "outOfOrder": 0},
                "pipelineVersion": "3f9ac2d1",
                "state": "online",
                "stateSince": "2025-07-14T12:30:00.000Z",
                "reason": None,
                "cropX1": 100,
                "cropY1": 200,
                "cropX2": 300,
                "cropY2": 400,
            }
        ],
        "nodes": [
            {
                "id": "worker-1",
                "role": "worker",
                "host": "host-1",
                "cpu": 75.5,
                "memory": 40.2,
                "gpu": 60.0,
                "gpuMemory": 25.1,
                "perSecond": 4.9,
                "lastProgress": 0.1,
                "cameras": None,
                "pipelines": {"vehicles.mpta": "3f9ac2d1"},
            }
        ],
    },
    "imageDetection": {
        "type": "imageDetection",
        "subscriptionIdentifier": _SUBSCRIPTION,
        "timestamp": "2025-07-14T12:34:56.789Z",
        "sessionId": 12345,
        "data": {
            "detection": {"class": "car", "confidence": 0.93, "carBrand": "Honda", "licensePlateText": "ABCD1234"},
            **_MODEL,
        },
        "detectionId": "5d1c0b7a9e42",
    },
    "error": {
        "type": "error",
        "subscriptionIdentifier": _SUBSCRIPTION,
        "code": "camera_unreachable",
        "error": "nothing answers at camera.example:554; check the address and the network",
    },
    "error.overloaded": {
        "type": "error",
        "subscriptionIdentifier": _SUBSCRIPTION,
        "code": "overloaded",
        "error": "10 detections per second are asked for, the camera gives 25.0, 4.0 are made: 2.5 times what the "
        "workers manage; add workers or a GPU, or ask for a lower fps",
        "requestedFps": 10.0,
        "cameraFps": 25.0,
        "achievedFps": 4.0,
    },
    "error.results_lost": {
        "type": "error",
        "subscriptionIdentifier": _SUBSCRIPTION,
        "code": "results_lost",
        "error": "results from 2025-07-14T12:30:00.000Z to 2025-07-14T12:31:00.000Z were not kept for long enough "
        "and cannot be replayed",
        "from": "2025-07-14T12:30:00.000Z",
        "to": "2025-07-14T12:31:00.000Z",
    },
    "patchSession": {
        "type": "patchSession",
        "sessionId": 12345,
        "data": {"currentCar": {"carModel": "Civic", "carBrand": "Honda", "licensePlateText": "ABCD1234"}},
    },
    "patchSessionResult": {
        "type": "patchSessionResult",
        "payload": {"sessionId": 12345, "success": True, "message": "Patch noted."},
    },
    "subscriptionsSet": {
        "type": "subscriptionsSet",
        "payload": {
            "added": ["display-002;cam-001"],
            "replaced": [],
            "unchanged": [_SUBSCRIPTION],
            "removed": [],
            "refused": [],
        },
    },
}
