#include "tests/tools/ccm.h"

#include <stdio.h>

#define RULE_TYPE   "SWMtr_Status_Received_MeterRule"
#define RULE_NUMBER (0x40000000u | 10907)

/* One status message: what stands in a Status element. */
struct status {
	const char *type, *component;
	uint32_t number; /* with severity bits; 0: not written */
	const char *rule_property, *rule;
};

static void put_property(struct ccm_text *t, const char *name, const char *value)
{
	ccm_puts(t, "<Property Name=\"");
	ccm_puts(t, name);
	ccm_puts(t, "\">");
	ccm_puts(t, value);
	ccm_puts(t, "</Property>");
}

static void put_time(struct ccm_text *t, const struct ccm_item *it)
{
	uint32_t s = it->client * 7 + it->serial;

	ccm_puts(t, "<Property Name=\"DateTime\">20070301");
	ccm_put_number(t, s / 3600 % 24 * 10000 + s / 60 % 60 * 100 + s % 60, 6);
	ccm_puts(t, ".000000+000</Property>");
}

static void put_qualifiers(struct ccm_text *t, const struct status *s)
{
	ccm_puts(t, "<Qualifiers><Qualifier Name=\"CCM_Provider\">"
		    "{4C7E0B6A-8E0B-4C5F-9B43-2F1B6F0A1D11}</Qualifier>"
		    "<Qualifier Name=\"SMS_Component\">");
	ccm_puts(t, s->component);
	ccm_puts(t, "</Qualifier>");
	if (s->number != 0) {
		ccm_puts(t, "<Qualifier Name=\"SMS_MessageID\">");
		ccm_put_number(t, s->number, 1);
		ccm_puts(t, "</Qualifier>");
	}
	ccm_puts(t, "<Qualifier Name=\"SMS_MessageType\">256</Qualifier>"
		    "<Qualifier Name=\"SMS_ModuleName\">SMS Client</Qualifier>"
		    "<Qualifier Name=\"SMS_PerClient\">True</Qualifier></Qualifiers>");
}

static void put_status(struct ccm_text *t, const struct ccm_item *it, const struct ccm_request *r,
		       const struct status *s)
{
	char machine[16];

	snprintf(machine, sizeof(machine), "PC%05u", it->client);
	ccm_puts(t, "<Status SchemaVersion=\"1.0\" CodePage=\"437\" LocaleID=\"1033\"><Type>");
	ccm_puts(t, s->type);
	ccm_puts(t, "</Type><Properties>");
	if (s->rule)
		put_property(t, s->rule_property, s->rule);
	put_property(t, "ClientID", r->client);
	put_time(t, it);
	put_property(t, "MachineName", machine);
	ccm_puts(t, "<Property Name=\"ProcessID\">1234</Property>"
		    "<Property Name=\"SiteCode\">ABC</Property><Property Name=\"ThreadID\">");
	ccm_put_number(t, 4000 + it->serial % 64 * 4, 1);
	ccm_puts(t, "</Property></Properties>");
	put_qualifiers(t, s);
	ccm_puts(t, "</Status>");
}

static void put_rule(struct ccm_text *t, const struct ccm_item *it, const struct ccm_request *r,
		     enum ccm_variant v)
{
	put_status(t, it, r,
		   &(struct status){
			   .type = RULE_TYPE,
			   .component = "Software Metering Agent",
			   .number = v == CCM_V_TYPE_ONLY ? 0 : RULE_NUMBER,
			   .rule_property = v == CCM_V_OLD	   ? "RuleID"
					    : v == CCM_V_TYPE_ONLY ? "MeterRuleID"
								   : "Attribute407",
			   .rule = r->rule[0] ? r->rule : "ABC00001",
		   });
}

/* Other status messages, the failures of software metering among them. */
static void put_other(struct ccm_text *t, const struct ccm_item *it, const struct ccm_request *r)
{
	static const struct status other[] = {
		{"SoftDistProgramStartedEvent", "Software Distribution", 0x40000000u | 10005, NULL,
		 NULL},
		{"SoftDistProgramCompletedSuccessfullyEvent", "Software Distribution",
		 0x40000000u | 10009, NULL, NULL},
		{"SWMtr_Status_Send_UsageReport_Failed", "Software Metering Agent",
		 0xc0000000u | 10904, NULL, NULL},
		{"SWMtr_Status_Create_UsageReport_Failed", "Software Metering Agent",
		 0xc0000000u | 10905, NULL, NULL},
		{"SWMtr_Status_WMIFailure", "Software Metering Agent", 0xc0000000u | 10906, NULL,
		 NULL},
		{"CcmPolicyAgentAssignmentEvent", "Policy Agent", 0x80000000u | 10822, NULL, NULL},
	};

	put_status(t, it, r, &other[it->serial % (sizeof(other) / sizeof(other[0]))]);
}

static void put_state(struct ccm_text *t, const struct ccm_item *it, const struct ccm_request *r)
{
	ccm_puts(t, "<?xml version=\"1.0\" encoding=\"UTF-16\"?><Report><ReportHeader>"
		    "<Identification><Machine><ClientInstalled>1</ClientInstalled>"
		    "<ClientType>1</ClientType><ClientID>");
	ccm_puts(t, r->client);
	ccm_puts(t, "</ClientID><ClientVersion>2.50.3174.1018</ClientVersion><NetBIOSName>PC");
	ccm_put_number(t, it->client, 5);
	ccm_puts(t, "</NetBIOSName><CodePage>437</CodePage></Machine></Identification>"
		    "<ReportDetails><ReportContent>State Message Data</ReportContent>"
		    "<ReportType>Full</ReportType></ReportDetails></ReportHeader><ReportBody>"
		    "<StateMessage SerialNumber=\"");
	ccm_put_number(t, it->serial, 1);
	ccm_puts(t, "\"><Topic ID=\"{0A2F5C5D-0000-4B4B-8A8A-0123456789AB}\" Type=\"500\"/>"
		    "<State ID=\"2\" Criticality=\"0\"/></StateMessage></ReportBody></Report>");
}

static void put_inventory(struct ccm_text *t, const struct ccm_builder *b,
			  const struct ccm_item *it)
{
	unsigned instances = 20 + (unsigned)(ccm_hash(b->seed, it->client, it->serial) % 60);

	ccm_puts(t, "<?xml version='1.0' encoding='UTF-16'?><Report><ReportBody>");
	for (unsigned i = 0; i < instances; i++) {
		ccm_puts(t, "<Instance Class=\"Win32_Product\"><Property Name=\"ID\">");
		ccm_put(t, slice_make(b->noise.p + (it->serial * 131 + i * 37) % 3800, 96));
		ccm_puts(t, "</Property></Instance>");
	}
	ccm_puts(t, "</ReportBody></Report>");
}

/* Give the text in from to the payload as UTF-16LE. */
static void flush_wide(struct ccm_builder *b)
{
	ccm_put_wide(&b->payload, slice_make(b->ascii.p, b->ascii.n));
	b->ascii.n = 0;
}

void ccm_build_payload(struct ccm_builder *b, const struct ccm_item *it,
		       const struct ccm_request *r, size_t *body_bytes)
{
	enum ccm_variant v = ccm_variant_of(b, it->client);
	struct ccm_text *t = &b->ascii;

	t->n = 0;
	switch (it->kind) {
	case CCM_RULE:
		put_rule(t, it, r, v);
		break;
	case CCM_MIXED:
		put_rule(t, it, r, v);
		put_other(t, it, r);
		break;
	case CCM_CONFLICT:
		put_status(t, it, r,
			   &(struct status){.type = RULE_TYPE,
					    .component = "Software Metering Agent",
					    .number = 0x40000000u | 10821});
		break;
	case CCM_STATE:
		put_state(t, it, r);
		break;
	case CCM_STATUS:
		put_other(t, it, r);
		break;
	default:
		ccm_puts(t,
			 "<RequestAssignments SchemaVersion=\"1.00\"><Identification><ClientID>");
		ccm_puts(t, r->client);
		ccm_puts(t, "</ClientID></Identification></RequestAssignments>");
		break;
	}
	if (v == CCM_V_RAW)
		ccm_puts(&b->payload, "\xff\xfe");
	flush_wide(b);
	if (v == CCM_V_ALPHABETIC)
		ccm_put(&b->payload, slice_make("\0\0", 2));
	*body_bytes = b->payload.n;
	if (v == CCM_V_ALPHABETIC)
		ccm_puts(&b->payload, "\r\n");
	if (it->kind != CCM_INVENTORY)
		return;
	*body_bytes = b->payload.n;
	ccm_puts(&b->payload, "\xff\xfe");
	put_inventory(t, b, it);
	flush_wide(b);
}
