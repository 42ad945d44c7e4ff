"""Every bound of the system, with its unit in the name and its source beside it.

Not here: settings that a school may choose. A number that two houses must agree on belongs in this file.
Sources named `P-n` are sections of the wire's specification.
"""

# --- encoding (P-1) ---------------------------------------------------------------------------------------------
CBOR_DEPTH_MAX = 6  # containers, P-1
CBOR_ITEMS_MAX = 96  # heads of every kind in one decoding call, P-1
CBOR_BYTES_MAX = 4_096  # P-1
DOCUMENT_ITEMS_MAX = 16_384  # KR1, KK1, KL1, KE1, KA1, P-1
DOCUMENT_BYTES_MAX = 65_536  # KR1, KK1, KL1, KE1, KA1, P-1
UINT32_MAX = 2**32 - 1  # references and UTC seconds, P-2 and hostile case P30
SIGNATURE_BYTES = 64  # Ed25519, and ECDSA P-256 as r ‖ s, P-1
KID_BYTES = 4  # first bytes of SHA-256 of the raw public key, P-1
CTI_BYTES = 8  # credential's own number, P-2
THUMB_BYTES = 8  # first bytes of SHA-256 of the phone's COSE_Key, P-3

# --- passes (P-2) -----------------------------------------------------------------------------------------------
PASS_CHARACTERS_MAX = 640  # with the prefix, P-2
PASS_CHILDREN_MAX = 8  # children in one credential, P-2
CREDENTIAL_SECONDS_MAX = 8 * 86_400  # P-2
CREDENTIAL_ISSUED_SECONDS = 7 * 86_400  # P-2: what the issuer gives
CARD_SECONDS_MAX = 400 * 86_400  # P-2
ISSUER_NOTICE_SECONDS = 8 * 86_400  # a new issuer key is published this long before its first use, P-1
PHONES_PER_GUARDIAN_MAX = 2  # UX, the pass page
PAIRING_SECONDS = 600  # UX, the pass page
PAIRING_TRIES_MAX = 5  # UX, the pass page
PAIRING_DIGITS = 8  # UX, the pass page
ESCORTS_PER_CHILD_MAX = 5  # mission S1.18, parents included

# --- decision (P-3) ---------------------------------------------------------------------------------------------
CREDENTIAL_AHEAD_SECONDS_MAX = 60  # NOT_YET_VALID beyond it
GATE_CLOCK_TOLERANCE_SECONDS = 5  # under the floor, in holdover: GATE_CLOCK beyond it
PRESENTATION_AHEAD_SECONDS_MAX = 10  # CLOCK_SKEW from the next second on
PRESENTATION_SKEW_SECONDS_MAX = 900  # FUTURE beyond it
PRESENTATION_AGE_SECONDS_MAX = 20  # STALE beyond it
BOOT_SECONDS = 10  # where the replay state was lost, iat under boot + this is STALE
SAME_PRESENTATION_SECONDS = 10  # the very presentation, and repeats of an answer
SAME_REQUEST_SECONDS = 45  # redraws of an accepted phone; redraws of a staff pass; DECLINED
FURTHER_PULSE_SECONDS = 10  # at least so long after the first pulse, once per acceptance
WAIT_SECONDS = 60  # a request waits for staff, from its first answer
TAPED_SECONDS = 30  # a text unchanged in view is ignored until it leaves
VIEW_GAP_SECONDS = 10  # not looked for, and not seen for longer: it has left the view (ours)
VIEW_LEFT_SECONDS = 1.0  # looked for and not seen for so long: it has left (ours; a reader may miss frames)
STROBE_SECONDS = 1.0  # two credentials from one spot within it: SHOW_ONE_CODE, hostile case P9
ARRIVAL_LIST_GRACE_SECONDS = 4 * 86_400  # arrivals ask staff past next_update + this
DEPARTURE_LIST_AGE_SECONDS_MAX = 86_400  # departures ask staff with an older list
NOTE_AHEAD_SECONDS_MAX = 20  # a sister's iat further ahead is ignored, P-6
DOCUMENT_AHEAD_SECONDS_MAX = 60  # *_FUTURE beyond it, P-3
FLOOR_MARGIN_SECONDS = 60  # documents' iat and receipts' now count this much less for the clock floor, P-3
MODE_SECONDS_MAX = 4 * 3_600  # evacuate and free live at most so long, P-4
COMMAND_SECONDS_MAX = 15  # KX1: exp at most iat + this, P-4

# --- what a gate remembers (P-3; sizes are ours, for a Raspberry Pi) --------------------------------------------
PHONES_REMEMBERED_MAX = 20_000  # phones with a consumed iat; oldest out (hostile case P16)
PRESENCE_REMEMBERED_MAX = 20_000  # children of today
REQUESTS_WAITING_MAX = 32  # requests that wait for staff at once
ANSWERS_REMEMBERED_MAX = 256  # last answers, for repeats
SYMBOLS_PER_FRAME_MAX = 8  # hostile case P38
REFUSALS_PER_MINUTE_MAX = 6  # records a minute, and refusals a minute and credential, P-3
ALERT_SECONDS = 3_600  # before the issuer is known: one alert an hour and code, P-3
HEAD_ALERT_SECONDS = 600  # one alert to the head for a holder and child, P-3

# --- policy (P-4) -----------------------------------------------------------------------------------------------
POLICY_SIGN_SECONDS = 6 * 3_600  # KR1 is signed anew so often, P-4
POLICY_NEXT_UPDATE_SECONDS = 3 * 86_400  # P-4
POLICY_HORIZON_SECONDS = 10 * 86_400  # weekdays and custody weeks expanded so far ahead, P-4

# --- ledger (P-5) -----------------------------------------------------------------------------------------------
SEGMENT_EVENTS_MAX = 64  # events under one signature
NOTE_ACTS_MAX = 28  # acts in one KS1: its 7 + 3 x 28 heads stay under CBOR_ITEMS_MAX, P-6
EVENT_BYTES_MAX = 1_024  # one event (ours: 64 of them fit into a document)
EVENT_ITEMS_MAX = 240  # heads in one event (ours: 64 of them fit into a document's items)
IN_FLIGHT_EVENTS_MAX = 64  # not yet receipted, on the wire
RESEND_SECONDS = 3  # first resend, doubled each time
RESEND_SECONDS_MAX = 300
JOURNAL_DAYS_AFTER_RECEIPT = 35
HEAD_BYTES = 32  # SHA-256

# --- MQTT (P-6) -------------------------------------------------------------------------------------------------
SESSION_EXPIRY_SECONDS = 300
WILL_DELAY_SECONDS = 45
RECEIVE_MAXIMUM = 64
PACKET_BYTES_MAX = 128 * 1_024
TELEMETRY_SECONDS = 60
TELEMETRY_EXPIRY_SECONDS = 120
RECEIPT_EXPIRY_SECONDS = 300
SEEN_EXPIRY_SECONDS = 120
DISTRICT_CHARACTERS_MAX = 32

# --- releases of the gate's program (sizes are ours: our own code is 0.5 MB packed) ------------------------------
RELEASE_BYTES_MAX = 64 * 1_024 * 1_024  # the archive
RELEASE_TREE_BYTES_MAX = 256 * 1_024 * 1_024  # unpacked
RELEASE_FILES_MAX = 4_096  # files in it
RELEASE_PATH_CHARACTERS_MAX = 200
RELEASE_LIBRARIES_MAX = 64  # names in release.json
JOB_BYTES_MAX = 1_024  # dn/job and up/job
