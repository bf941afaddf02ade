#include "base/http_status.h"

#include <doctest/doctest.h>

#include <string>

namespace shoal {
namespace {

using State = HttpStatusReader::State;

/// The status; 0 while it is still read, -1 when it is none. In one piece and byte by byte: the same.
int status_of(const std::string& text) {
  const auto told = [](const HttpStatusReader& reader) {
    if (reader.state() == State::kReading) return 0;
    return reader.state() == State::kFailed ? -1 : reader.status();
  };
  HttpStatusReader whole;
  whole.on_bytes(as_bytes(text));
  HttpStatusReader pieces;
  for (std::size_t i = 0; i < text.size(); ++i) pieces.on_bytes(as_bytes(std::string_view(text).substr(i, 1)));
  CHECK(told(whole) == told(pieces));
  return told(whole);
}

}  // namespace

TEST_CASE("an answer's status is known with its first line") {
  CHECK(status_of("HTTP/1.1 200 OK\r\n") == 200);
  CHECK(status_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") == 200);
  CHECK(status_of("HTTP/1.0 503 Service Unavailable\r\n") == 503);
  CHECK(status_of("HTTP/1.1 204\r\n") == 204);
  CHECK(status_of("HTTP/1.1 204 \r\n") == 204);
  CHECK(status_of("HTTP/1.1 302 Found\n") == 302);
  CHECK(status_of("HTTP/1.1 101 Switching Protocols\r\n") == 101);
}

TEST_CASE("a line that is not at its end yet says nothing") {
  CHECK(status_of("") == 0);
  CHECK(status_of("HTTP/1.1 200 OK") == 0);
  CHECK(status_of("HTTP/1.1 200 OK\r") == 0);
}

TEST_CASE("interim answers are skipped with their headers") {
  CHECK(status_of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\n") == 500);
  CHECK(status_of("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\nHTTP/1.1 200 OK\r\n") == 200);
  CHECK(status_of("HTTP/1.1 103 Early Hints\r\nHTTP/1.1 200 OK\r\n") == 0);  // That is one of its headers.
  CHECK(status_of("HTTP/1.1 100 Continue\r\n\r\nnonsense\r\n") == -1);
}

TEST_CASE("what is no HTTP/1 answer is none") {
  for (const char* bad : {"\r\n", "HTTP/2 200\r\n", "HTTP/1.2 200 OK\r\n", "HTTP/1.1  200 OK\r\n",
                          "http/1.1 200 OK\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 099 OK\r\n",
                          "HTTP/1.1 600 OK\r\n", "HTTP/1.1 -20 OK\r\n", "HTTP/1.1\t200 OK\r\n", "HTTP/1.1 200OK\r\n",
                          "SSH-2.0-OpenSSH\r\n", "HTTP/1.1\r\n", " HTTP/1.1 200 OK\r\n"}) {
    CAPTURE(bad);
    CHECK(status_of(bad) == -1);
  }
}

TEST_CASE("an endless line and endless interim answers are given up") {
  CHECK(status_of(std::string(HttpStatusReader::kLineMax, 'x')) == 0);
  CHECK(status_of(std::string(HttpStatusReader::kLineMax + 1, 'x')) == -1);
  std::string endless;
  while (endless.size() <= HttpStatusReader::kBytesMax) endless += "HTTP/1.1 100 Continue\r\n\r\n";
  CHECK(status_of(endless) == -1);
  CHECK(status_of(endless.substr(0, 10'400)) == 0);
}

TEST_CASE("after the status nothing is read any more") {
  HttpStatusReader reader;
  CHECK(reader.on_bytes(as_bytes(std::string_view("HTTP/1.1 500 Oh\r\nHTTP/1.1 200 OK\r\n"))) == State::kComplete);
  CHECK(reader.on_bytes(as_bytes(std::string(100'000, 'x'))) == State::kComplete);
  CHECK(reader.status() == 500);
  reader.reset();
  CHECK(reader.on_bytes(as_bytes(std::string_view("HTTP/1.1 200 OK\r\n"))) == State::kComplete);
  CHECK(reader.status() == 200);
}

}  // namespace shoal
