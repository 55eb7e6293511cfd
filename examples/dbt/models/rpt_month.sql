{% set month_end = env_var('BACKFILLD_DATE', '1900-01-01') %}
select date '{{ month_end }}' as date, segment, count(*) as orders, sum(amount) as revenue
from {{ ref('fct_orders') }}
where last_day(date) = date '{{ month_end }}'
group by segment
