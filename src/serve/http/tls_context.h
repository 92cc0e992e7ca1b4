// Certificate and key of a server, read from PEM files. Only this folder's .cpp files include it.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "base/result.h"
#include "serve/http/http_server.h"

namespace millrace {

// TLS 1.2 or later, with OpenSSL's default ciphers. Shared by the connections that begin with it.
// kInvalidArgument names the file that cannot be used.
Result<std::shared_ptr<boost::asio::ssl::context>> make_tls_context(const TlsFiles& files);

}  // namespace millrace
