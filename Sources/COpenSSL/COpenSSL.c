#include "COpenSSL.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/tls1.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

// MARK: What goes over the wire

/// No TLS record begins with a letter, and every request of HTTP/1 and the preface of HTTP/2 do.
static bool is_plain(uint8_t first) { return first >= 'A' && first <= 'Z'; }

static long receive(struct chimera_wire *wire, void *room, size_t capacity) {
    long count = recv(wire->descriptor, room, capacity, 0);
    if (count >= 0 && (size_t)count < capacity && !wire->closing) wire->readable = false;
    return count;
}

static int wire_read(BIO *bio, char *room, size_t capacity, size_t *count) {
    struct chimera_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *count = 0;
    if (wire->ended || wire->error != 0 || wire->plain || wire->flooded) return 0;
    if (wire->readable) {
        long received = receive(wire, room, capacity);
        if (received > 0) {
            if (!wire->started && is_plain((uint8_t)room[0])) {
                wire->plain = true;
                return 0;
            }
            wire->started = true;
            *count = (size_t)received;
            return 1;
        }
        if (received == 0) {
            wire->ended = true;
            wire->readable = true;
            return 0;
        }
        if (errno != EAGAIN && errno != EINTR) {
            wire->error = errno;
            return 0;
        }
        // No news comes of what a signal kept from being read.
        if (errno != EINTR) wire->readable = wire->closing;
    }
    BIO_set_retry_read(bio);
    return 0;
}

static int wire_write(BIO *bio, const char *bytes, size_t count, size_t *written) {
    struct chimera_wire *wire = BIO_get_data(bio);
    struct chimera_outgoing *outgoing = wire->outgoing;
    BIO_clear_retry_flags(bio);
    *written = 0;
    if (outgoing->capacity - outgoing->count < count) {
        size_t capacity = (outgoing->count + count) * 2;
        uint8_t *grown = realloc(outgoing->bytes, capacity);
        if (grown == NULL) return 0;
        outgoing->bytes = grown;
        outgoing->capacity = capacity;
    }
    memcpy(outgoing->bytes + outgoing->count, bytes, count);
    outgoing->count += count;
    *written = count;
    return 1;
}

static long wire_control(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return ((struct chimera_wire *)BIO_get_data(bio))->ended;
    default: return 0;
    }
}

BIO_METHOD *chimera_wire_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "chimera");
    if (method == NULL) return NULL;
    BIO_meth_set_read_ex(method, wire_read);
    BIO_meth_set_write_ex(method, wire_write);
    BIO_meth_set_ctrl(method, wire_control);
    return method;
}

SSL *chimera_tls_new(SSL_CTX *context, BIO_METHOD *method, struct chimera_wire *wire) {
    SSL *ssl = SSL_new(context);
    BIO *bio = BIO_new(method);
    if (ssl == NULL || bio == NULL) {
        SSL_free(ssl);
        BIO_free(bio);
        return NULL;
    }
    BIO_set_data(bio, wire);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    return ssl;
}

void chimera_tls_set_owner(SSL *ssl, void *owner) { SSL_set_app_data(ssl, owner); }

void *chimera_tls_owner(const SSL *ssl) { return SSL_get_app_data(ssl); }

enum chimera_tls_status chimera_tls_handshake(SSL *ssl) {
    ERR_clear_error();
    int result = SSL_do_handshake(ssl);
    if (result == 1) return CHIMERA_TLS_DONE;
    return SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ ? CHIMERA_TLS_WAIT : CHIMERA_TLS_FAILED;
}

enum chimera_tls_status chimera_tls_read(
    SSL *ssl, struct chimera_wire *wire, void *room, size_t capacity, size_t *count, bool *full) {
    *count = 0;
    *full = false;
    ERR_clear_error();
    while (*count < capacity) {
        size_t some = 0;
        if (SSL_read_ex(ssl, (uint8_t *)room + *count, capacity - *count, &some) == 1) {
            *count += some;
            // What the socket has was taken, and nothing of it is left: no call is needed to hear that.
            if (!wire->readable && !SSL_has_pending(ssl)) return CHIMERA_TLS_DONE;
            continue;
        }
        switch (SSL_get_error(ssl, 0)) {
        case SSL_ERROR_WANT_READ: return CHIMERA_TLS_WAIT;
        case SSL_ERROR_ZERO_RETURN: return CHIMERA_TLS_END;
        default:
            return wire->ended && wire->error == 0 && !wire->flooded ? CHIMERA_TLS_END : CHIMERA_TLS_FAILED;
        }
    }
    *full = wire->readable || SSL_has_pending(ssl);
    return CHIMERA_TLS_DONE;
}

bool chimera_tls_has_part(const SSL *ssl) {
    // A header by itself is in no buffer any more, but in the state.
    return SSL_has_pending(ssl) || SSL_rstate_string(ssl)[1] == 'B';
}

enum chimera_tls_status chimera_tls_write(SSL *ssl, const void *bytes, size_t count, size_t record) {
    ERR_clear_error();
    size_t done = 0;
    while (done < count) {
        size_t some = 0;
        // OpenSSL cuts what is longer than the longest record itself.
        size_t wanted = count - done < record || record >= SSL3_RT_MAX_PLAIN_LENGTH ? count - done : record;
        if (SSL_write_ex(ssl, (const uint8_t *)bytes + done, wanted, &some) != 1) return CHIMERA_TLS_FAILED;
        done += some;
    }
    return CHIMERA_TLS_DONE;
}

void chimera_tls_shutdown(SSL *ssl) {
    ERR_clear_error();
    SSL_shutdown(ssl);
    ERR_clear_error();
}

int chimera_tls_reason(void) {
    unsigned long error = ERR_peek_error();
    ERR_clear_error();
    return error == 0 || ERR_GET_LIB(error) != ERR_LIB_SSL ? 0 : ERR_GET_REASON(error);
}

void chimera_error_text(char *room, size_t capacity) {
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    if (capacity == 0) return;
    strncpy(room, reason == NULL ? "" : reason, capacity - 1);
    room[capacity - 1] = 0;
    ERR_clear_error();
}

/// Is told of each message. A KeyUpdate has keys derived, and asks for another one, as often as the peer likes; and
/// OpenSSL reads on as long as nothing else comes. So it does behind a ClientHello after the handshake (TLS 1.2), which
/// it answers with a warning each: the first is one too many.
static void message_seen(
    int sent, int version, int type, const void *message, size_t count, SSL *ssl, void *context) {
    (void)version;
    (void)context;
    const uint8_t *bytes = message;
    struct chimera_wire *wire = BIO_get_data(SSL_get_rbio(ssl));
    if (sent) {
        if (type == SSL3_RT_ALERT && count == 2 && bytes[1] == SSL_AD_NO_RENEGOTIATION) wire->flooded = true;
        return;
    }
    if (type != SSL3_RT_HANDSHAKE || count == 0 || bytes[0] != SSL3_MT_KEY_UPDATE) return;
    if (wire->key_updates_left > 0) {
        wire->key_updates_left--;
    } else {
        wire->flooded = true;
    }
}

// MARK: Contexts

SSL_CTX *chimera_server_context(OSSL_LIB_CTX *library) {
    SSL_CTX *context = SSL_CTX_new_ex(library, NULL, TLS_server_method());
    if (context == NULL) return NULL;
    SSL_CTX_set_mode(
        context,
        SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(
        context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE
                     | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    // One record's buffer takes several, so that one read of the socket serves them.
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_msg_callback(context, message_seen);
    return context;
}

SSL_CTX *chimera_client_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) return NULL;
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    return context;
}

SSL *chimera_tls_client(SSL_CTX *context, const char *host) {
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL *ssl = SSL_new(context);
    BIO *incoming = BIO_new(BIO_s_mem());
    BIO *outgoing = BIO_new(BIO_s_mem());
    if (ssl == NULL || incoming == NULL || outgoing == NULL) {
        SSL_free(ssl);
        BIO_free(incoming);
        BIO_free(outgoing);
        return NULL;
    }
    // An empty one is one that waits, and not one that has ended.
    BIO_set_mem_eof_return(incoming, -1);
    BIO_set_mem_eof_return(outgoing, -1);
    SSL_set_bio(ssl, incoming, outgoing);
    SSL_set_connect_state(ssl);
    SSL_set_alpn_protos(ssl, protocols, sizeof protocols - 1);
    // RFC 6066 §3: an address is no name.
    bool is_address = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    if (!is_address) {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (SSL_set1_host(ssl, host) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1) {
            SSL_free(ssl);
            return NULL;
        }
    }
    ERR_clear_error();
    return ssl;
}

bool chimera_context_set_groups(SSL_CTX *context, const char *groups) {
    return SSL_CTX_set1_groups_list(context, groups) == 1;
}

const uint8_t *chimera_hello_server_name(SSL *ssl, size_t *count) {
    const unsigned char *bytes = NULL;
    size_t length = 0;
    *count = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &length) != 1) return NULL;
    // RFC 6066 §3: the list's length, the kind of the first name (0 is a host), its length, the name.
    if (length < 5 || ((size_t)bytes[0] << 8 | bytes[1]) != length - 2 || bytes[2] != 0) return NULL;
    size_t name = (size_t)bytes[3] << 8 | bytes[4];
    if (name > length - 5) return NULL;
    *count = name;
    return bytes + 5;
}

void chimera_tls_set_least_version(SSL *ssl, int version) { SSL_set_min_proto_version(ssl, version); }

void chimera_context_set_tickets(
    SSL_CTX *context, int (*callback)(SSL *, unsigned char *, unsigned char *, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int)) {
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, callback);
}

void chimera_context_set_status(SSL_CTX *context, int (*callback)(SSL *, void *)) {
    SSL_CTX_set_tlsext_status_cb(context, callback);
}

int chimera_tls_set_status(SSL *ssl, const void *bytes, size_t count) {
    unsigned char *copy = OPENSSL_malloc(count);
    if (copy == NULL) return 0;
    memcpy(copy, bytes, count);
    return (int)SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)count);
}

bool chimera_certificate_try(OSSL_LIB_CTX *library, X509 *leaf, EVP_PKEY *key, STACK_OF(X509) *chain) {
    ERR_clear_error();
    SSL_CTX *context = chimera_server_context(library);
    SSL *ssl = context == NULL ? NULL : SSL_new(context);
    bool taken = ssl != NULL && chimera_tls_use(ssl, leaf, key, chain) == 1;
    SSL_free(ssl);
    SSL_CTX_free(context);
    return taken;
}

int chimera_tls_use(SSL *ssl, X509 *leaf, EVP_PKEY *key, STACK_OF(X509) *chain) {
    return SSL_use_cert_and_key(ssl, leaf, key, chain, 1);
}

void chimera_tls_set_trust(SSL *ssl, X509_STORE *store, const STACK_OF(X509_NAME) *names, bool required) {
    SSL_set1_verify_cert_store(ssl, store);
    SSL_set_client_CA_list(ssl, SSL_dup_CA_list(names));
    SSL_set_verify(ssl, required ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER, NULL);
}

BIO *chimera_tls_client_subject(const SSL *ssl) {
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    if (certificate == NULL) return NULL;
    BIO *bio = SSL_get_verify_result(ssl) == X509_V_OK ? BIO_new(BIO_s_mem()) : NULL;
    // One line without control characters, whatever stands in the certificate.
    unsigned long flags = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
    if (bio != NULL) X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, flags);
    X509_free(certificate);
    return bio;
}

// MARK: Tickets

bool chimera_hmac(const uint8_t key[32], const void *bytes, size_t count, uint8_t result[32]) {
    unsigned int length = 32;
    return HMAC(EVP_sha256(), key, 32, bytes, count, result, &length) != NULL && length == 32;
}

bool chimera_ticket_begin(
    EVP_CIPHER_CTX *cipher_context, EVP_MAC_CTX *mac_context, EVP_CIPHER *cipher, const uint8_t cipher_key[32],
    const uint8_t mac_key[32], uint8_t iv[16], bool sealing) {
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)mac_key, 32),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_MAC_CTX_set_params(mac_context, parameters) != 1) return false;
    return EVP_CipherInit_ex2(cipher_context, cipher, cipher_key, iv, sealing, NULL) == 1;
}

// MARK: Certificates

bool chimera_add_extension(X509 *certificate, X509 *issuer, int kind, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    if (extension == NULL) return false;
    int added = X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added == 1;
}

STACK_OF(X509) *chimera_chain_new(void) { return sk_X509_new_null(); }

void chimera_chain_push(STACK_OF(X509) *chain, X509 *certificate) { sk_X509_push(chain, certificate); }

int chimera_chain_count(const STACK_OF(X509) *chain) { return sk_X509_num(chain); }

X509 *chimera_chain_at(const STACK_OF(X509) *chain, int index) { return sk_X509_value(chain, index); }

void chimera_chain_free(STACK_OF(X509) *chain) { sk_X509_pop_free(chain, X509_free); }

STACK_OF(X509_NAME) *chimera_names_new(void) { return sk_X509_NAME_new_null(); }

void chimera_names_push(STACK_OF(X509_NAME) *names, const X509_NAME *name) {
    X509_NAME *copy = X509_NAME_dup(name);
    if (copy != NULL) sk_X509_NAME_push(names, copy);
}

void chimera_names_free(STACK_OF(X509_NAME) *names) { sk_X509_NAME_pop_free(names, X509_NAME_free); }

EVP_PKEY *chimera_make_key(OSSL_LIB_CTX *library) {
    return EVP_PKEY_Q_keygen(library, NULL, "EC", "P-256");
}

X509 *chimera_next_certificate(BIO *pem, OSSL_LIB_CTX *library, bool *failed) {
    *failed = false;
    ERR_clear_error();
    X509 *certificate = X509_new_ex(library, NULL);
    if (certificate != NULL && PEM_read_bio_X509(pem, &certificate, NULL, NULL) != NULL) return certificate;
    X509_free(certificate);
    unsigned long error = ERR_peek_last_error();
    *failed = !(ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
    if (!*failed) ERR_clear_error();
    return NULL;
}

static int no_passphrase(char *room, int capacity, int writing, void *context) {
    (void)room;
    (void)capacity;
    (void)writing;
    (void)context;
    return -1;
}

EVP_PKEY *chimera_private_key(BIO *pem, OSSL_LIB_CTX *library) {
    ERR_clear_error();
    return PEM_read_bio_PrivateKey_ex(pem, NULL, no_passphrase, NULL, library, NULL);
}

int64_t chimera_seconds_left(const X509 *certificate) {
    int days = 0;
    int seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1) return -1;
    return (int64_t)days * 86400 + seconds;
}

int64_t chimera_seconds_until_valid(const X509 *certificate) {
    int days = 0;
    int seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notBefore(certificate)) != 1) return -1;
    return (int64_t)days * 86400 + seconds;
}

bool chimera_is_for_servers(X509 *certificate) {
    // All bits are set where there is no such extension.
    return (X509_get_extended_key_usage(certificate) & (XKU_SSL_SERVER | XKU_ANYEKU)) != 0;
}

bool chimera_names_its_signer(const X509 *certificate) {
    AUTHORITY_INFO_ACCESS *places = X509_get_ext_d2i(certificate, NID_info_access, NULL, NULL);
    bool found = false;
    for (int index = 0; index < sk_ACCESS_DESCRIPTION_num(places); index++) {
        if (OBJ_obj2nid(sk_ACCESS_DESCRIPTION_value(places, index)->method) == NID_ad_ca_issuers) found = true;
    }
    AUTHORITY_INFO_ACCESS_free(places);
    ERR_clear_error();
    return found;
}

// MARK: OCSP responses

static int64_t posix_seconds(const ASN1_GENERALIZEDTIME *time, int64_t otherwise) {
    struct tm parts;
    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1) return otherwise;
    return timegm(&parts);
}

static bool is_digest(const ASN1_OCTET_STRING *claimed, const unsigned char *bytes, unsigned int count) {
    return (unsigned int)ASN1_STRING_length(claimed) == count
           && memcmp(ASN1_STRING_get0_data(claimed), bytes, count) == 0;
}

/// Whether an answer is about the certificate: by its number, and by its issuer's name and key.
static bool is_about(OCSP_SINGLERESP *answer, const X509 *leaf, const X509 *issuer) {
    ASN1_OCTET_STRING *name = NULL;
    ASN1_OCTET_STRING *key = NULL;
    ASN1_OBJECT *algorithm = NULL;
    ASN1_INTEGER *serial = NULL;
    OCSP_CERTID *identity = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(answer);
    if (OCSP_id_get0_info(&name, &algorithm, &key, &serial, identity) != 1) return false;
    if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) != 0) return false;
    const EVP_MD *digest = EVP_get_digestbyobj(algorithm);
    unsigned char expected[EVP_MAX_MD_SIZE];
    unsigned int count = 0;
    if (digest == NULL || X509_NAME_digest(X509_get_issuer_name(leaf), digest, expected, &count) != 1) return false;
    if (!is_digest(name, expected, count)) return false;
    if (issuer == NULL) return true;
    return X509_pubkey_digest(issuer, digest, expected, &count) == 1 && is_digest(key, expected, count);
}

bool chimera_read_ocsp(
    const uint8_t *bytes, size_t count, X509 *leaf, X509 *issuer, struct chimera_ocsp *result) {
    *result = (struct chimera_ocsp){.since = INT64_MAX, .until = INT64_MAX};
    const unsigned char *rest = bytes;
    if (count > 1024 * 1024) return false;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &rest, (long)count);
    OCSP_BASICRESP *basic = NULL;
    bool is_one = response != NULL && rest == bytes + count;
    if (is_one && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        basic = OCSP_response_get1_basic(response);
        is_one = basic != NULL;
        result->is_successful = is_one;
    }
    for (int index = 0; basic != NULL && index < OCSP_resp_count(basic); index++) {
        OCSP_SINGLERESP *answer = OCSP_resp_get0(basic, index);
        if (!is_about(answer, leaf, issuer)) continue;
        ASN1_GENERALIZEDTIME *since = NULL;
        ASN1_GENERALIZEDTIME *until = NULL;
        result->is_about = true;
        int status = OCSP_single_get0_status(answer, NULL, NULL, &since, &until);
        result->is_revoked = status == V_OCSP_CERTSTATUS_REVOKED;
        result->is_unknown = status == V_OCSP_CERTSTATUS_UNKNOWN;
        result->since = posix_seconds(since, INT64_MAX);
        result->until = posix_seconds(until, INT64_MAX);
        break;
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return is_one;
}

BIO *chimera_pem_of_key(EVP_PKEY *key) {
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) return bio;
    BIO_free(bio);
    return NULL;
}

BIO *chimera_pem_of_certificate(X509 *certificate) {
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && PEM_write_bio_X509(bio, certificate) == 1) return bio;
    BIO_free(bio);
    return NULL;
}

size_t chimera_bio_bytes(BIO *bio, const char **bytes) {
    char *data = NULL;
    long count = BIO_get_mem_data(bio, &data);
    *bytes = data;
    return count < 0 ? 0 : (size_t)count;
}
