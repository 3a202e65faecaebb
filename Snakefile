# A campaign: prepare -> tune -> fit -> report -> collect -> book, by the command line's own verbs.
# `make paper` runs it on this machine; profiles/ has others. How to use it, with what each key of
# the configuration means: book/appendix/reproduce.md, "A campaign on many machines".
#
# What is finished is never lost or computed twice, whatever Snakemake thinks: a study keeps its
# trials and the store its cells, so a job that is asked again answers at once. Snakemake therefore
# gets to know the files that are cheap to compare: a search's record, and a flag for fits, whose
# folders are named by what the search will have found.
#
# All files are local(): every machine sees the results folder, and Snakemake is not to move a part
# of it elsewhere. Records are update(): Snakemake would remove them before it extends them. After a
# failure it takes the old one for the new, so beside each lies a flag, which does go away.

from shlex import quote

import yaml

DEFAULTS = {
    "datasets": "ml-100k",
    "models": "sasrec ia-add ia-mul ia-val",
    "seeds": "2020 2021 2022 2023 2024",
    "designs": "own_search shared_backbone",
    "trials": 25,
    "epochs": 10,
    "base": "paper",
    "device": "cpu",
    "gpu_slots": 1,
    "storage": "",
    "results": ".seqattn/paper",
    "notebooks": "book/runs",
    "collect": "results/campaign",
    "records": "results/datasets",
}
unknown = [key for key in config if key not in DEFAULTS]
if unknown:
    raise WorkflowError(f"unknown config key {unknown[0]!r}; known keys: {', '.join(DEFAULTS)}")
config = {**DEFAULTS, **config}


def words(key):
    return str(config[key]).split()


def dataset_name(reference):
    """A dataset's name; one's own log says it in its YAML file."""
    if not reference.endswith((".yaml", ".yml")):
        return reference
    with open(reference) as file:
        return yaml.safe_load(file)["name"]


RESULTS, GPU = config["results"], config["device"] != "cpu"
DATASETS = {dataset_name(reference): reference for reference in words("datasets")}
MODELS, SEEDS, DESIGNS = words("models"), words("seeds"), words("designs")
# Which models have searches of their own is told by their names, since PyTorch takes seconds to load.
for model in MODELS:
    if not model.startswith("ia-") and model not in ("sasrec", "bert4rec", "local-ae"):
        raise WorkflowError(f"model {model!r}: the name of an injection starts with 'ia-'")
# The chapter on auto-encoding reads these, of the first seed.
AE_VS_AR = ["sasrec", "local-ae", "bert4rec"]
# On a GPU the seeds of a model are fitted together; on a CPU each is a job of one thread.
BATCHES = ["-".join(SEEDS)] if GPU else SEEDS
# Executed notebooks, a folder a report; the first design's has the dataset's plain name.
PAGES = {
    dataset if design == DESIGNS[0] else f"{dataset}-{design}": (dataset, design)
    for dataset in DATASETS
    for design in DESIGNS
}
# Kubernetes asks for these even if they are 0, so a job without a GPU has none of them.
DEVICE = {"gpu": 1, "gpu_manufacturer": "nvidia"} if GPU else {}
workflow.global_resources.setdefault("gpu", int(config["gpu_slots"]))


def own_design(model, design):
    """Only an injection's settings depend on the design, see `seqattn.search.record`."""
    return design if model.startswith("ia-") else "own_search"


def search(dataset, model, design):
    """What `seqattn tune` found (`seqattn.search.record.search_path`), and a flag that it is current."""
    place = f"{dataset}/{own_design(model, design)}/{model}"
    return [
        local(f"{RESULTS}/searches/{place}.json"),
        local(f"{RESULTS}/done/searches/{place}"),
    ]


def prepared(wildcards):
    return local(f"{RESULTS}/datasets/{wildcards.dataset}/dataset.json")


def before_tune(wildcards):
    """Give the data, and for the matched design the search that it rests on."""
    matched = wildcards.design == "shared_backbone"
    rests_on = search(wildcards.dataset, "sasrec", "own_search") if matched else []
    return [prepared(wildcards), *rests_on]


def before_fit(wildcards):
    """Give the search whose outcome is fitted; a masked-item model takes the backbone of SASRec's."""
    injected = wildcards.model.startswith("ia-")
    return search(wildcards.dataset, wildcards.model if injected else "sasrec", wildcards.design)


def fitted(dataset, design, models=MODELS, batches=BATCHES):
    return [
        local(f"{RESULTS}/done/{own_design(model, design)}/{dataset}/{model}/seed-{batch}")
        for model in models
        for batch in batches
    ]


def read_by_report(dataset, design):
    """Everything the notebooks read, so that they fit nothing themselves."""
    ae_vs_ar = [model for model in AE_VS_AR if model not in MODELS]
    return fitted(dataset, design) + fitted(dataset, design, ae_vs_ar, SEEDS[:1])


def controls():
    """SASRec on the backbone that each variant's own search found."""
    if "own_search" not in DESIGNS or "sasrec" not in MODELS:
        return []
    return [
        local(f"{RESULTS}/done/control/{dataset}/{model}/seed-{batch}")
        for dataset in DATASETS
        for model in MODELS
        for batch in BATCHES
        if model.startswith("ia-")
    ]


def all_fits():
    both = [flag for dataset in DATASETS for g in DESIGNS for flag in read_by_report(dataset, g)]
    return both + controls()


def reports():
    # A report writes this one last.
    return [local(f"{config['notebooks']}/{page}/06_ae_vs_ar.ipynb") for page in PAGES]


wildcard_constraints:
    design="own_search|shared_backbone",
    dataset="[^/]+",
    model="[^/]+",
    seeds="[0-9-]+",
    page="[^/]+",


localrules:
    all,
    searches,
    fits,
    notebooks,
    collect,
    book,


# All that is wanted is named here: Snakemake does not make what is missing between two files that
# are there, and pages and notebooks are there after a mere `make book`.
rule all:
    input:
        all_fits(),
        reports(),
        local(f"{RESULTS}/done/book"),


rule searches:
    input:
        [path for d in DATASETS for g in DESIGNS for m in MODELS for path in search(d, m, g)],


rule fits:
    input:
        all_fits(),


rule notebooks:
    input:
        reports(),


rule prepare:
    output:
        local(update(f"{RESULTS}/datasets/{{dataset}}/dataset.json")),
    params:
        reference=lambda wildcards: DATASETS[wildcards.dataset],
    shell:
        "seqattn prepare {params.reference:q} -o $(dirname {output:q})"


rule tune:
    input:
        before_tune,
    output:
        local(update(f"{RESULTS}/searches/{{dataset}}/{{design}}/{{model}}.json")),
        local(touch(f"{RESULTS}/done/searches/{{dataset}}/{{design}}/{{model}}")),
    params:
        reference=lambda wildcards: DATASETS[wildcards.dataset],
        budget=f"--trials {config['trials']} --epochs {config['epochs']} --base {config['base']}",
        storage=lambda wildcards: (
            "--storage " + quote(config["storage"].format(**wildcards))
            if config["storage"]
            else ""
        ),
    resources:
        **DEVICE,
    shell:
        "seqattn tune -d {params.reference:q} -m {wildcards.model} --design {wildcards.design}"
        " {params.budget} {params.storage} --results-dir {RESULTS:q} --device {config[device]}"


rule fit:
    input:
        before_fit,
    output:
        local(touch(f"{RESULTS}/done/{{design}}/{{dataset}}/{{model}}/seed-{{seeds}}")),
    params:
        reference=lambda wildcards: DATASETS[wildcards.dataset],
        seeds=lambda wildcards: wildcards.seeds.replace("-", " "),
    resources:
        **DEVICE,
    shell:
        "seqattn fit -d {params.reference:q} -m {wildcards.model} -s {params.seeds}"
        " --preset {wildcards.design} --results-dir {RESULTS:q} --device {config[device]}"


rule control:
    input:
        lambda wildcards: search(wildcards.dataset, wildcards.model, "own_search"),
        lambda wildcards: search(wildcards.dataset, "sasrec", "own_search"),
    output:
        local(touch(f"{RESULTS}/done/control/{{dataset}}/{{model}}/seed-{{seeds}}")),
    params:
        reference=lambda wildcards: DATASETS[wildcards.dataset],
        seeds=lambda wildcards: wildcards.seeds.replace("-", " "),
    resources:
        **DEVICE,
    shell:
        "seqattn fit -d {params.reference:q} -m sasrec --backbone-of {wildcards.model}"
        " -s {params.seeds} --preset own_search --results-dir {RESULTS:q} --device {config[device]}"


rule report:
    input:
        lambda wildcards: read_by_report(*PAGES[wildcards.page]),
    output:
        local(f"{config['notebooks']}/{{page}}/06_ae_vs_ar.ipynb"),
    params:
        reference=lambda wildcards: DATASETS[PAGES[wildcards.page][0]],
        design=lambda wildcards: PAGES[wildcards.page][1],
        models=" ".join(MODELS),
        seeds=" ".join(SEEDS),
    resources:
        **DEVICE,
    shell:
        "seqattn report {params.reference:q} --preset {params.design} -m {params.models}"
        " -s {params.seeds} --results-dir {RESULTS:q} --device {config[device]}"
        " -o $(dirname {output:q})"


rule collect:
    input:
        all_fits(),
    output:
        local(touch(f"{RESULTS}/done/collected")),
    params:
        target=config["collect"],
        records=config["records"],
    shell:
        "seqattn collect {RESULTS:q} -o {params.target:q} && mkdir -p {params.records:q}"
        " && cp -R {RESULTS:q}/datasets/. {params.records:q}/"


# The book has chapters on ML-100K: where the campaign has none of it, `make book` runs them.
rule book:
    input:
        reports(),
        local(f"{RESULTS}/done/collected"),
    output:
        local(touch(f"{RESULTS}/done/book")),
    params:
        target="pages" if "ml-100k" in DATASETS else "book",
    shell:
        "make {params.target}"
