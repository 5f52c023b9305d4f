"""Transparency, by test suites that others wrote for their own purposes: CPython's (package libpython3.11-testsuite) and Twisted's
(python3-twisted). Each runs bare, in observe mode and in enforce mode with a pool of loopback addresses, and every single test
must end as it does bare; one that does not is run again alone, on both sides, up to three times.

The last line of each test's output (-v) is its count: "N tests (...), N differences"."""

import foreign
from fixture import full, limit


@full
@limit(400)
def test_cpython_sockets(t):
    foreign.compare(t, foreign.regrtest(), ["test_socket", "test_ssl", "test_select", "test_selectors", "test_epoll", "test_poll", "test_socketserver",
                                            "test_asyncore", "test_asynchat", "test_timeout", "test_telnetlib"], 1000)


@full
@limit(400)
def test_cpython_protocols(t):
    foreign.compare(t, foreign.regrtest(), ["test_httplib", "test_httpservers", "test_urllib2_localnet", "test_xmlrpc", "test_docxmlrpc", "test_wsgiref",
                                            "test_ftplib", "test_smtplib", "test_poplib"], 400)


@full
@limit(400)
def test_cpython_asyncio(t):
    foreign.compare(t, foreign.regrtest(), ["test_asyncio"], 1500)


@full
@limit(400)
def test_cpython_processes(t):
    foreign.compare(t, foreign.regrtest(), ["test_subprocess", "test_os", "test_posix", "test_fork1", "test_multiprocessing_main_handling"], 600)


@full
@limit(400)
def test_cpython_multiprocessing(t):
    """What talks over sockets or hands them on; the rest of that suite waits for clocks, and fails on a busy host by itself."""
    parts = ["Connection", "Listener", "Picklable", "Manager", "Pool", "Address", "Logging", "Invalid"]
    foreign.compare(t, foreign.regrtest(), ["test_multiprocessing_fork"] + [a for p in parts for a in ("-m", f"*{p}*")], 50)


@full
@limit(400)
def test_twisted(t):
    foreign.compare(t, foreign.twisted(), ["twisted.internet.test.test_tcp", "twisted.test.test_tcp", "twisted.internet.test.test_process",
                                           "twisted.internet.test.test_unix", "twisted.internet.test.test_socket"], 400)
