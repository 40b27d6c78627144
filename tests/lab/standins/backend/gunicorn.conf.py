# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How gunicorn serves the API."""

from __future__ import annotations

from standin.config import read_config
from standin.logs import logging_config

_config = read_config()

wsgi_app = "standin.web:create_app()"
# product-facts 1.2 [S:HELM] and product-facts 1.3 [S:SAAGIE]: 5000 without the inner nginx
bind = "unix:/app/run/api-toucan.sock" if _config.flag("TOUCAN_NGINX_SUPERVISOR", default=True) else "0.0.0.0:5000"
# product-facts 1.6 [S:HELM, W6D, FAQ]
workers = _config.number("TOUCAN_GUNICORN_WORKERS", 5)
preload_app = True
worker_tmp_dir = "/dev/shm"
# product-facts 1.6 [S:HELM]
logconfig_dict = logging_config(_config.text("TOUCAN_LOG_LEVEL", "INFO"))
