"""Answer with the classes of videos that are sent over HTTP: an example of a server, to start from.

examples:
  python tools/serve.py --checkpoint results/first/checkpoints/balanced_best
  curl -F video=@a.mp4 http://127.0.0.1:8000/predict
      {"path": "a.mp4", "classes": [{"label": 3, "name": "archery", "probability": 0.93}, ...], "has_audio": true}

Needs the extra `serve`. The network runs on the CPU, on one video at a time; others wait. It lives in a process of its
own, which is ended and replaced where a video takes too long or crashes it. The page /docs tries the server out.

answers:
  200  the prediction
  408  the upload takes longer than --seconds
  413  the upload is larger than --megabytes
  415  the name of the file does not end as that of a video
  422  the video cannot be read, or none was sent
  503  more than --connections at a time
  504  the prediction takes longer than --seconds

Whoever can reach the server can use it: put one that asks for passwords in front of it, or leave --host as it is.
"""

from tsam_dali.cli.common import check_checkpoint, friendly_errors, parser
from tsam_dali.cli.dataclass_options import add_option_arguments, options_of
from tsam_dali.inference.child import ChildPredictor
from tsam_dali.inference.serving import ServeOptions, build_app


@friendly_errors
def main() -> None:
    command = parser("python tools/serve.py", __doc__)
    command.add_argument("--checkpoint", metavar="CKPT", required=True, help="as for python -m tsam_dali.predict")
    add_option_arguments(command, ServeOptions)
    args = command.parse_args()
    options = options_of(args, ServeOptions)
    check_checkpoint(args.checkpoint)
    try:
        import python_multipart  # noqa: F401 (which FastAPI needs for uploads)
        import uvicorn
        from fastapi import FastAPI  # noqa: F401
    except ImportError as error:
        raise ValueError(f"needs the package {error.name}; install the extra: pip install -e '.[serve]'") from error
    predictor = ChildPredictor(args.checkpoint, options.topk)
    app = build_app(predictor, options)
    uvicorn.run(app, host=options.host, port=options.port, limit_concurrency=options.connections + 1)


if __name__ == "__main__":
    main()
